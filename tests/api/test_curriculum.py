"""The curriculum of a job: what it takes, and each way in which it and the rest of a spec do not go together."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from distill_api import DistillationJobSpec
from distill_api.curriculum_rules import stages_of
from distill_api.naming import recipe_digest
from distill_api.validate import explain

PAGE = Path(__file__).resolve().parents[2] / "docs/curriculum.md"
SNIPPETS = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
HOTTER = {"temperature": {"from": 1, "to": 8}}
SOFTER = {"alpha": {"from": 0, "to": 0.5}}
EASY = {"startFraction": 0.2, "fullAtEpoch": 5}
STAGES = [
    {
        "name": "hints",
        "epochs": 2,
        "objective": {"alpha": 0, "terms": [{"type": "Hint", "pairs": [{"teacher": "a", "student": "b"}]}]},
    },
    {"name": "outputs", "epochs": 3, "objective": {}},
]


def spec(digits, **changes):
    return {**copy.deepcopy(digits["spec"]), "objective": {}, **changes}


def said(document):
    with pytest.raises(ValidationError) as error:
        DistillationJobSpec.model_validate(document)
    return explain(error.value, DistillationJobSpec, "spec")


def test_both_schedules_with_their_defaults(digits):
    taken = DistillationJobSpec.model_validate(
        spec(digits, curriculum={"schedules": {**HOTTER, **SOFTER}})
    ).curriculum
    assert taken.wire() == {
        "schedules": {
            "temperature": {"from": 1.0, "to": 8.0, "shape": "Linear"},
            "alpha": {"from": 0.0, "to": 0.5, "shape": "Linear"},
        }
    }


def test_a_curriculum_is_part_of_the_recipe(digits):
    without, colder, hotter = (
        recipe_digest(DistillationJobSpec.model_validate(spec(digits, **changes)))
        for changes in (
            {},
            {"curriculum": {"schedules": {"temperature": {"from": 8, "to": 1}}}},
            {"curriculum": {"schedules": HOTTER}},
        )
    )
    assert len({without, colder, hotter}) == 3


OWN = [{"type": "KLDivergence", "temperature": 2}, {"type": "MSELogits"}]
REFUSED = {
    "nothing": ({"curriculum": {}}, "spec.curriculum: must not be empty"),
    "no schedule": (
        {"curriculum": {"schedules": {}}},
        "spec.curriculum.schedules: set temperature, alpha or both",
    ),
    "no change": (
        {"curriculum": {"schedules": {"alpha": {"from": 0.5, "to": 0.5}}}},
        "spec.curriculum.schedules.alpha.to: must differ from `from`",
    ),
    "too hot": (
        {"curriculum": {"schedules": {"temperature": {"from": 101, "to": 1}}}},
        "spec.curriculum.schedules.temperature.from: 101: must be more than 0 and at most 100",
    ),
    "two temperatures": (
        {"objective": {"temperature": 2}, "curriculum": {"schedules": HOTTER}},
        "spec.objective.temperature: has no effect beside curriculum.schedules.temperature",
    ),
    "two alphas": (
        {"objective": {"alpha": 0.3}, "curriculum": {"schedules": SOFTER}},
        "spec.objective.alpha: has no effect beside curriculum.schedules.alpha",
    ),
    "no term follows": (
        {"objective": {"terms": OWN}, "curriculum": {"schedules": HOTTER}},
        "spec.curriculum.schedules.temperature: has no effect: every term has a temperature of its own, or none",
    ),
    "a part of the distribution": (
        {"teacherOutputs": {"encoding": "TopK"}, "curriculum": {"schedules": HOTTER}},
        "spec.teacherOutputs.encoding: must not be TopK or Sampled with curriculum.schedules.temperature",
    ),
    "one stage": ({"curriculum": {"stages": STAGES[:1]}}, "spec.curriculum.stages: "),
    "one name": (
        {"training": {}, "curriculum": {"stages": [STAGES[0], STAGES[0]]}},
        "spec.curriculum.stages: must have different names",
    ),
    "stages and schedules": (
        {"training": {}, "curriculum": {"stages": STAGES, "schedules": SOFTER}},
        "spec.curriculum.schedules: must not be set beside stages",
    ),
    "two objectives": (
        {"training": {}, "objective": {"alpha": 0.5}, "curriculum": {"stages": STAGES}},
        "spec.objective: has no effect beside curriculum.stages",
    ),
    "two counts of epochs": (
        {"training": {"epochs": 7}, "curriculum": {"stages": STAGES}},
        "spec.training.epochs: has no effect beside curriculum.stages",
    ),
    "all from the start": (
        {"curriculum": {"sampling": {"startFraction": 1, "fullAtEpoch": 3}}},
        "spec.curriculum.sampling.startFraction: 1: must be more than 0 and less than 1",
    ),
    "never full": (
        {"curriculum": {"sampling": {**EASY, "fullAtEpoch": 31}}},
        "spec.curriculum.sampling.fullAtEpoch: must be at most the epochs in all",
    ),
    "never full in all stages": (
        {"training": {}, "curriculum": {"stages": STAGES, "sampling": {**EASY, "fullAtEpoch": 6}}},
        "spec.curriculum.sampling.fullAtEpoch: must be at most the epochs in all",
    ),
    "labels that are not stored": (
        {"teacherOutputs": {"encoding": "Sampled"}, "curriculum": {"sampling": EASY}},
        "spec.teacherOutputs.encoding: must not be TopK or Sampled with curriculum.sampling",
    ),
    "never reached": (
        {"curriculum": {"schedules": {"alpha": {"from": 0, "to": 1, "untilEpoch": 31}}}},
        "spec.curriculum.schedules.alpha.untilEpoch: must be at most training.epochs",
    ),
}


@pytest.mark.parametrize(("changes", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(digits, changes, sentence):
    assert sentence in said(spec(digits, **changes))[0]


def test_a_term_that_follows_and_an_alpha_beside_stored_parts_are_taken(digits):
    terms = [*OWN, {"type": "SoftTargetCrossEntropy"}]
    DistillationJobSpec.model_validate(
        spec(digits, objective={"terms": terms}, curriculum={"schedules": HOTTER})
    )
    DistillationJobSpec.model_validate(
        spec(digits, teacherOutputs={"encoding": "TopK"}, curriculum={"schedules": SOFTER})
    )
    DistillationJobSpec.model_validate(
        spec(digits, training={}, curriculum={"stages": STAGES, "sampling": EASY})
    )


def test_without_stages_there_is_one_of_the_whole(digits):
    parts = DistillationJobSpec.model_validate(spec(digits))
    [whole] = stages_of(parts.curriculum, parts.objective, parts.training)
    assert (whole.epochs, whole.objective) == (30, parts.objective)
    staged = DistillationJobSpec.model_validate(spec(digits, training={}, curriculum={"stages": STAGES}))
    stages = stages_of(staged.curriculum, staged.objective, staged.training)
    assert [(stage.name, stage.epochs) for stage in stages] == [("hints", 2), ("outputs", 3)]


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_every_snippet_of_the_page_is_valid(digits, snippet):
    DistillationJobSpec.model_validate(
        spec({"spec": {**digits["spec"], "training": {}}}, **yaml.safe_load(snippet))
    )


@pytest.mark.cluster
@pytest.mark.parametrize(("changes", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_the_server_refuses_the_same(api, digits, changes, sentence):
    from distill_local.handle import CommandError

    with pytest.raises(CommandError) as error:
        api.apply({**digits, "spec": spec(digits, **changes)})
    field, _, says = sentence.partition(": ")
    assert field in str(error.value)
    assert says.rpartition(": ")[2] in str(error.value)
