"""Task Embedding: what a job says, and each thing that has no meaning for texts without labels."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from distill_api import DistillationJobSpec
from distill_api.validate import explain

PAGE = Path(__file__).resolve().parents[2] / "docs/embeddings.md"
SNIPPETS = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
RIGHT = {
    "task": "Embedding",
    "teacher": {"huggingFace": {"id": "pvc://models/teacher"}},
    "student": {"initFromTeacher": {"count": 3}},
    "dataset": {"files": {"uri": "pvc://texts/corpus", "format": "Text"}},
    "objective": {"alpha": 0},
    "evaluation": {"metric": "spearman"},
    "output": {"uri": "pvc://models/out"},
}
REFUSED = {
    "the usual alpha": (
        {"objective": {}},
        "spec.objective.alpha: must be 0 for task Embedding, whose texts have no labels, in each stage",
    ),
    "labels": ({"objective": {"alpha": 0.5}}, "spec.objective.alpha: must be 0 for task Embedding"),
    "alpha by steps": (
        {
            "objective": {"alpha": 0},
            "curriculum": {"schedules": {"alpha": {"from": 0, "to": 1}, "temperature": {"from": 4, "to": 1}}},
        },
        "spec.objective.alpha: has no effect beside curriculum.schedules.alpha",
    ),
    "classes": (
        {"objective": {"alpha": 0, "terms": [{"type": "Decoupled"}]}},
        "spec.objective.terms: must not be SoftTargetCrossEntropy or Decoupled for task Embedding",
    ),
    "a part of the values": (
        {"teacherOutputs": {"encoding": "TopK"}},
        "spec.teacherOutputs.encoding: must be Dense for task Embedding",
    ),
    "the usual metric": (
        {"evaluation": {}},
        "spec.evaluation.metric: must be spearman for task Embedding, and for no other",
    ),
    "a stage with labels": (
        {
            "objective": {},
            "curriculum": {"stages": [{"name": n, "epochs": 1, "objective": {}} for n in "ab"]},
        },
        "spec.objective.alpha: must be 0 for task Embedding, whose texts have no labels, in each stage of a curriculum too",
    ),
    "easy ones first": (
        {
            "curriculum": {
                "sampling": {
                    "order": "EasyToHard",
                    "by": "TeacherConfidence",
                    "startFraction": 0.5,
                    "fullAtEpoch": 2,
                }
            }
        },
        "spec.curriculum.sampling: goes by the teacher's confidence in labels",
    ),
    "a teacher of pictures": (
        {"teacher": {"timm": {"name": "resnet18"}, "weights": {"uri": "pvc://models/t.safetensors"}}},
        "spec.teacher: must be a Transformers encoder for task Embedding: name a model with huggingFace",
    ),
    "a student of pictures": (
        {"student": {"builtin": {"name": "mlp"}}},
        "spec.student: must be a Transformers encoder for task Embedding",
    ),
    "another gate": (
        {"gate": {"metric": "accuracy", "minValue": 0.5}},
        "spec.gate.metric: must be the metric that is measured",
    ),
    "spearman of classes": (
        {"task": "TextClassification"},
        "spec.evaluation.metric: must be spearman for task Embedding, and for no other",
    ),
    "conversations": (
        {"dataset": {**RIGHT["dataset"], "columns": {"messages": "m"}}},
        "spec.dataset.columns.messages: has an effect with task CausalLM alone",
    ),
}


def test_the_smallest_job_and_a_gate():
    taken = DistillationJobSpec.model_validate(
        {**RIGHT, "gate": {"metric": "spearman", "minValue": 0.85, "maxDropVsTeacher": 0.1}}
    )
    assert taken.gate.min_value == 0.85


def test_stages_have_objectives_of_their_own():
    stages = [{"name": name, "epochs": 1, "objective": {"alpha": 0}} for name in ("wide", "near")]
    DistillationJobSpec.model_validate({**RIGHT, "objective": {}, "curriculum": {"stages": stages}})


@pytest.mark.parametrize(("changes", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(changes, sentence):
    with pytest.raises(ValidationError) as error:
        DistillationJobSpec.model_validate(copy.deepcopy({**RIGHT, **changes}))
    assert sentence in explain(error.value, DistillationJobSpec, "spec")[0]


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_every_snippet_of_the_page_is_valid(snippet):
    DistillationJobSpec.model_validate({**RIGHT, **yaml.safe_load(snippet)["spec"]})


@pytest.mark.cluster
def test_the_server_takes_the_smallest_job(api, digits):
    api.apply({**digits, "metadata": {**digits["metadata"], "name": "embedding"}, "spec": RIGHT})


@pytest.mark.cluster
@pytest.mark.parametrize(("changes", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_the_server_refuses_the_same(api, digits, changes, sentence):
    from distill_local.handle import CommandError

    with pytest.raises(CommandError) as error:
        api.apply({**digits, "spec": copy.deepcopy({**RIGHT, **changes})})
    field, _, says = sentence.partition(": ")
    assert field in str(error.value)
    assert says.partition(": ")[0] in str(error.value)
