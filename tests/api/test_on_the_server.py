"""A good job on the real API server: defaults, names, what may change, columns, `kubectl explain`, the status."""

from __future__ import annotations

import json

import pytest
import yaml

from distill_api import DistillationJob, DistillationJobSpec
from distill_api.contract import TrainerConfig
from distill_api.status import Condition, DistillationJobStatus, Phase, Progress, ServingStatus
from distill_local.handle import CommandError

pytestmark = pytest.mark.cluster

FROZEN = {
    "teacher": {"spec.teacher.builtin.name": "mlp"},
    "student": {"spec.student.builtin.name": "convnet-tiny"},
    "student's weights appear": {"spec.student.weights": {"uri": "pvc://models/start.safetensors"}},
    "dataset": {"spec.dataset.limit": 100},
    "objective": {"spec.objective.alpha": 0.2},
    "training goes back to its defaults": {"spec.training": "(removed)"},
    "training": {"spec.training.epochs": 31},
    "evaluation": {"spec.evaluation": {"confidence": 0.9}},
    "output": {"spec.output.uri": "pvc://models/other"},
    "resources": {"spec.resources.gpusPerNode": 2},
}
FREE = {
    "suspend": {"spec.suspend": True},
    "policy": {"spec.policy": {"backoffLimit": 1}},
    "gate": {"spec.gate.maxDropVsTeacher": 0.05},
    "no gate": {"spec.gate": "(removed)"},
    "canary": {"spec.serving.canary": {"steps": [{"weight": 20, "hold": "5m"}]}},
    "a default written out": {"spec.training.batchSize": 64},
}


def test_the_example_of_the_documentation_is_accepted_as_it_stands(api, digits_text):
    assert "digits created" in api.kubectl("apply", "-f", "-", document=digits_text)


def test_server_and_python_fill_in_the_same_defaults(api, digits):
    least = {key: digits["spec"][key] for key in ("task", "teacher", "student", "dataset", "output")}
    stored = api.apply({**digits, "spec": least})
    assert stored["spec"] == DistillationJobSpec.model_validate(least).wire()
    assert DistillationJob.model_validate(stored).spec == DistillationJobSpec.model_validate(least)


def test_what_the_server_stores_is_a_trainer_configuration(api, digits):
    spec = api.apply(digits)["spec"]
    shared = {key: spec[key] for key in TrainerConfig.model_fields if key in spec}
    config = TrainerConfig.model_validate({**shared, "job": {"name": "digits"}, "recipeDigest": "sha256:0"})
    assert config.objective.alpha == 0.1


def test_arguments_of_a_network_are_kept_as_they_are_and_cannot_change(api, digits, change):
    args = {"width": 64, "rate": 0.5, "blocks": [2, {"deep": True}], "name": "x"}
    job = change(digits, {"spec.student": {"python": {"factory": "nets:small", "args": args}}})
    stored = api.apply(job)
    assert stored["spec"]["student"]["python"]["args"] == args
    assert DistillationJob.model_validate(stored).spec.wire()["student"]["python"]["args"] == args
    job["spec"]["student"]["python"]["args"]["blocks"][1]["deep"] = False
    assert "spec.student cannot change once the job exists" in api.refusal(job)


def test_whole_numbers_are_quantities(api, digits):
    stored = api.apply({**digits, "spec": {**digits["spec"], "resources": {"cpu": 2, "memory": "4Gi"}}})
    assert DistillationJob.model_validate(stored).spec.resources.cpu == "2"


def test_names_of_253_characters_and_dots_are_accepted_and_of_254_refused(dry, spoil):
    name = "a" * 125 + ".b." + "c" * 125
    assert dry.apply(spoil({"metadata.name": name}), "--dry-run=server")["metadata"]["name"] == name
    answer = dry.refusal(spoil({"metadata.name": f"{name}d"}), "--dry-run=server")
    assert "metadata.name: Invalid value" in answer
    assert "must be no more than 253" in answer


@pytest.mark.parametrize("option", ["--server-side", "--validate=strict"])
def test_unknown_fields_are_refused_in_both_kinds_of_apply(dry, spoil, option):
    answer = dry.refusal(spoil({"spec.objektive": {"alpha": 0.5}}), option, "--dry-run=server")
    assert "objektive" in answer, answer


def test_what_cannot_change_is_refused_with_the_way_out_and_the_rest_may(api, digits, change):
    changed = [
        {"metadata.name": f"job-{row}", **each} for row, each in enumerate([*FROZEN.values(), *FREE.values()])
    ]
    assert api.refusals([change(digits, {"metadata.name": each["metadata.name"]}) for each in changed]) == {}
    refusals = api.refusals([change(digits, each) for each in changed])
    for row, (what, each) in enumerate(FROZEN.items()):
        field = next(iter(each)).split(".")[1]
        sentence = f"spec.{field} cannot change once the job exists: make a new DistillationJob"
        assert sentence in refusals.pop(f"job-{row}", "it was accepted"), what
    assert refusals == {}


def test_columns(api, digits):
    api.apply(digits)
    status = DistillationJobStatus(
        phase=Phase.RUNNING,
        message="Epoch 3 of 30.",
        attempt=1,
        progress=Progress(step=120, samples_per_second=812.5),
        progress_text="12% 1m41s",
        metric_text="0.871 (88.2%)",
        teacher="convnet-large",
        student="convnet-small",
        serving=ServingStatus(canary="25%"),
        conditions=[_condition("Running", "True", "PodRunning")],
    )
    _patch_status(api, status)
    head, row = api.kubectl("get", "dj", "-o", "wide").splitlines()
    assert head.split() == [
        *("NAME", "PHASE", "PROGRESS", "TEACHER", "STUDENT", "METRIC", "CANARY", "AGE"),
        *("STEP", "SAMPLES/S", "ATTEMPT", "MESSAGE"),
    ]
    for cell in ("Running", "12% 1m41s", "0.871 (88.2%)", "25%", "120", "812.5", "Epoch 3 of 30."):
        assert cell in row
    assert api.kubectl("get", "dj").splitlines()[0].split()[-1] == "AGE"
    assert "digits" in api.kubectl("get", "ml")


def test_the_server_keeps_a_status_as_it_was_written(api, digits):
    api.apply(digits)
    status = DistillationJobStatus(
        observed_generation=1, phase=Phase.CHECKING, conditions=[_condition("Accepted", "True", "Valid")]
    )
    _patch_status(api, status)
    stored = yaml.safe_load(api.kubectl("get", "dj", "digits", "-o", "yaml"))["status"]
    assert stored == status.wire()


def test_a_condition_appears_once_per_type(api, digits):
    api.apply(digits)
    twice = [_condition("Running", "True", "PodRunning"), _condition("Running", "False", "PodGone")]
    with pytest.raises(CommandError, match=r'Duplicate value: \{"type":"Running"\}'):
        _patch_status(api, DistillationJobStatus(conditions=twice))


def test_users_cannot_write_the_status_with_apply(api, digits):
    api.apply({**digits, "status": {"phase": "Succeeded"}})
    assert yaml.safe_load(api.kubectl("get", "dj", "digits", "-o", "yaml"))["status"] == {"phase": "Pending"}


def test_kubectl_explain_teaches(crd_cluster):
    text = " ".join(crd_cluster.kubectl("explain", "distillationjob.spec.objective").split())
    assert "Hinton, Vinyals, Dean 2015" in text
    assert "must be between 0 (teacher only) and 1 (labels only)" in text


def _condition(kind: str, status: str, reason: str) -> Condition:
    return Condition(
        type=kind, status=status, reason=reason, message="…", last_transition_time="2026-01-01T00:00:00Z"
    )


def _patch_status(api, status: DistillationJobStatus) -> None:
    patch = json.dumps({"status": status.wire()})
    api.kubectl("patch", "dj", "digits", "--subresource=status", "--type=merge", "--patch", patch)
