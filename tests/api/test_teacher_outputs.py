"""teacherOutputs: what a budget means, what a recipe covers, and that the documentation's YAML is valid."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from distill_api import DistillationJob
from distill_api.naming import immutable_part, recipe_digest
from distill_api.teacher_outputs import TeacherOutputs, quantity_bytes

PAGE = Path(__file__).resolve().parents[2] / "docs/teacher-outputs.md"
SNIPPETS = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize(
    ("quantity", "size"),
    [("20Gi", 20 * 2**30), ("1.5Ki", 1536), ("3G", 3 * 10**9), ("2k", 2000), ("7", 7), ("2500m", 2)],
)
def test_a_budget_in_bytes(quantity, size):
    assert quantity_bytes(quantity) == size
    assert TeacherOutputs(budget=quantity).budget_bytes == size


def test_without_a_budget_it_is_twenty_gibibytes():
    assert TeacherOutputs().budget_bytes == 20 * 2**30


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_every_snippet_of_the_page_is_valid(snippet):
    document = yaml.safe_load(snippet)
    assert list(document) == ["teacherOutputs"]
    assert TeacherOutputs.model_validate(document["teacherOutputs"])


def digest_with(digits, **outputs):
    digits["spec"]["teacherOutputs"] = outputs
    return recipe_digest(DistillationJob.model_validate(digits).spec)


def test_a_recipe_covers_what_changes_the_student(digits):
    plain = digest_with(digits)
    assert digest_with(digits, store={"uri": "pvc://models/x"}) == plain
    for outputs in (
        {"mode": "Online"},
        {"encoding": "TopK"},
        {"encoding": "TopK", "topK": 8},
        {"budget": "1Gi"},
    ):
        assert digest_with(digits, **outputs) != plain


def test_it_cannot_change_once_the_job_exists(digits):
    digits["spec"]["teacherOutputs"] = {"mode": "Online"}
    assert immutable_part(DistillationJob.model_validate(digits).spec)["teacherOutputs"]["mode"] == "Online"
