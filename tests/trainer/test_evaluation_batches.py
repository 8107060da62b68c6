"""Metric and losses of an evaluation do not depend on how many samples are predicted at once: 10 rows by 10, 4 and 3."""

import json

import pytest
from language_world import gpt2, write_language_teacher, write_texts

from distill_api.contract import ExitCode
from distill_trainer.tasks.causal_lm import CausalLM
from distill_trainer.tasks.image_classification import ImageClassification

SIZES = (10, 4, 3)


def results(workspace, monkeypatch, kit, job):
    """What each size measures of both models on ten test samples, the student as it starts."""
    found = []
    for size in SIZES:
        monkeypatch.setattr(kit, "evaluation_batch", lambda self, training, size=size: size)
        ended = workspace.train(**job, output={"uri": f"pvc://models/by-{size}"})
        assert ended.code is ExitCode.SUCCEEDED, ended.outcome.message
        [file] = (workspace.output.parent / f"by-{size}/versions").glob("*/result.json")
        measured = json.loads(file.read_text())["detail"]["history"][0]
        result = ended.outcome.result
        found.append(
            [measured["student_metric"], measured["teacher_metric"], result.agreement]
            + [
                value
                for model in (result.student, result.teacher)
                for value in (
                    model.metric,
                    model.metric_low,
                    model.calibration_error,
                    model.perplexity or 0.0,
                )
            ]
        )
    return found


def assert_equal(found):
    for other in found[1:]:
        assert other == pytest.approx(found[0], rel=1e-5, abs=1e-6)


def test_pictures(workspace, monkeypatch):
    job = {
        "student": {"python": {"factory": "own_models:tiny_conv"}},
        "dataset": {"builtin": {"name": "digits"}, "limit": 40},
        "training": {"epochs": 1},
    }
    assert_equal(results(workspace, monkeypatch, ImageClassification, job))


def test_texts_of_unequal_length(workspace, monkeypatch):
    teacher = write_language_teacher(workspace.root / "teacher", steps=10)
    write_texts(workspace.root / "data", train=20, test=10)
    gpt2().save_pretrained(workspace.root / "student")
    job = {
        "task": "CausalLM",
        "teacher": {"huggingFace": {"id": f"file://{teacher}"}},
        "student": {"huggingFace": {"id": f"file://{workspace.root / 'student'}"}},
        "dataset": {"files": {"uri": f"file://{workspace.root / 'data'}", "format": "Text"}},
        "objective": {"temperature": 1.0},
        "training": {"epochs": 1, "batchSize": 8},
    }
    assert_equal(results(workspace, monkeypatch, CausalLM, job))
