"""The terms of the objective: which field belongs to which type, the documentation's snippets, the default."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from distill_api.terms import FIELDS, KLVariant, Term, TermType
from distill_api.training import Objective

PAGE = Path(__file__).resolve().parents[2] / "docs/objectives.md"
SNIPPETS = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)

PAIRS = [{"teacher": "a", "student": "b"}]
SETTINGS = {
    "temperature": 2,
    "variant": "Forward",
    "alpha": 1,
    "beta": 0.5,
    "skew": 0.2,
    "pairs": PAIRS,
    "mode": "Code",
    "distance": 1,
    "angle": 1,
    "dimension": 8,
    "negatives": 8,
    "momentum": 0.5,
}


def test_every_field_but_type_and_weight_belongs_somewhere():
    assert set(SETTINGS) == set(Term.model_fields) - {"type", "weight"} == set().union(*FIELDS.values())
    assert set(FIELDS) == set(TermType)


@pytest.mark.parametrize("kind", TermType)
@pytest.mark.parametrize("name", SETTINGS)
def test_a_field_is_taken_by_its_types_alone(kind, name):
    needed = {"pairs": PAIRS} if kind in {TermType.HINT, TermType.ATTENTION_TRANSFER} else {}
    if kind is TermType.KL_DIVERGENCE:
        needed |= {"beta": {"variant": "JensenShannon"}, "skew": {"variant": "Skewed"}}.get(name, {})
    document = {"type": kind, **needed, name: SETTINGS[name]}
    if name in FIELDS[kind]:
        assert Term.model_validate(document).wire()[to_camel(name)] is not None
    else:
        with pytest.raises(ValidationError, match=f"{name}: belongs to .*: remove it, or change the type"):
            Term.model_validate(document)


def test_what_is_not_given_stays_absent():
    assert Objective().wire() == {"alpha": 0.1, "temperature": 4.0}
    assert Objective(terms=[Term(type=TermType.HINT, pairs=PAIRS)]).wire()["terms"] == [
        {"type": "Hint", "weight": 1.0, "pairs": PAIRS}
    ]


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_every_snippet_of_the_page_is_valid(snippet):
    document = yaml.safe_load(snippet)
    assert list(document) == ["objective"]
    assert Objective.model_validate(document["objective"]).terms


def test_the_page_shows_every_type_and_variant():
    shown = [term for snippet in SNIPPETS for term in yaml.safe_load(snippet)["objective"]["terms"]]
    assert {term["type"] for term in shown} == set(TermType)
    assert {term.get("variant") for term in shown} >= set(KLVariant) - {KLVariant.FORWARD}
