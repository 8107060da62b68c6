"""What is written to the cluster, word for word, in golden files; and what must hold for every name."""

import re

import pytest
import yaml
from operator_builders import NOW, OWNER, spec

from distill_api.contract import TrainerConfig
from distill_operator.kinds import Owner
from distill_operator.manifests import check_job, config_map, event, rendezvous_service, training_job
from distill_operator.plan import Claim, claims, training_plan
from distill_operator.settings import Settings

FULL = {
    "teacher": {
        "builtin": {"name": "convnet-large"},
        "weights": {"uri": "pvc://teachers/digits.safetensors"},
    },
    "dataset": {"files": {"uri": "pvc://data/fashion", "format": "Idx"}},
    "resources": {
        "gpusPerNode": 2,
        "gpuResource": "nvidia.com/mig-1g.10gb",
        "cpu": "4",
        "memory": "16Gi",
        "sharedMemory": "8Gi",
        "template": {
            "image": "registry.example.com/team/trainer:2",
            "imagePullSecrets": [{"name": "registry"}],
            "nodeSelector": {"gpu": "a100"},
            "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
            "priorityClassName": "research",
            "runtimeClassName": "nvidia",
            "env": [{"name": "NCCL_DEBUG", "value": "WARN"}],
        },
    },
}


IN_A_BUCKET = {
    "dataset": {
        "files": {"uri": "s3://samples/digits", "format": "Parquet", "sizeLimit": "50Gi"},
        "secretRef": {"name": "bucket-reader"},
    }
}


def plan(changes=None, owner=OWNER, **settings):
    return training_plan(owner, spec(**(changes or {})), Settings(**settings))


@pytest.mark.parametrize(
    ("name", "built"),
    [
        ("config.yaml", lambda: config_map(plan())),
        ("check.yaml", lambda: check_job(plan())),
        ("training.yaml", lambda: training_job(plan(), 3)),
        ("training-cpu.yaml", lambda: training_job(plan({"resources": {"gpusPerNode": 0}}), 0)),
        ("training-full.yaml", lambda: training_job(plan(FULL, service_account="trainer"), 3)),
        ("training-nodes.yaml", lambda: training_job(plan({"resources": {"nodes": 4, "gpusPerNode": 8}}), 3)),
        ("check-secret.yaml", lambda: check_job(plan(IN_A_BUCKET))),
        ("service-nodes.yaml", lambda: rendezvous_service(plan({"resources": {"nodes": 4}}))),
        ("event.yaml", lambda: event(OWNER, "Normal", "Trained", "student 0.979", NOW)),
    ],
)
def test_golden(golden, name, built):
    golden(name, yaml.safe_dump(built(), sort_keys=False, allow_unicode=True))


def test_the_trainer_reads_what_the_operator_wrote():
    made = plan(FULL)
    assert TrainerConfig.model_validate_json(config_map(made)["data"]["trainer.json"]) == made.config


def test_the_check_asks_for_no_gpu():
    container = check_job(plan(FULL))["spec"]["template"]["spec"]["containers"][0]
    assert set(container["resources"]["limits"]) == {"memory"}
    assert set(container["resources"]["requests"]) == {"cpu", "memory"}


def test_both_pods_read_with_the_secret_and_neither_config_holds_more_than_its_name():
    made = plan(IN_A_BUCKET)
    for job in (check_job(made), training_job(made, 1)):
        (container,) = job["spec"]["template"]["spec"]["containers"]
        assert container["envFrom"] == [{"secretRef": {"name": "bucket-reader"}}]
    assert claims(made.spec) == (Claim("models", False),)
    assert "envFrom" not in check_job(plan())["spec"]["template"]["spec"]["containers"][0]


def test_only_the_claims_of_output_and_stored_outputs_are_written_to():
    assert claims(spec(**FULL)) == (Claim("data", True), Claim("models", False), Claim("teachers", True))
    for claim in ("cache", "data"):
        stored = FULL | {"teacherOutputs": {"store": {"uri": f"pvc://{claim}/outputs"}}}
        assert Claim(claim, False) in claims(spec(**stored))


def test_the_claim_of_a_tokenizer_is_mounted():
    student = {"python": {"factory": "nets:small", "tokenizer": "pvc://words/tokenizer"}}
    assert Claim("words", True) in claims(spec(**(FULL | {"student": student})))


@pytest.mark.parametrize("name", ["a", "a" * 253, "a." * 100 + "b", "digits", "x" * 63 + ".y"])
def test_every_derived_name_and_label_fits(name):
    made = plan(owner=Owner("team-a", name, "uid"))
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", made.training_name)
    # A pod of an Indexed Job is <job>-<index>-<5 random>; its name is a label and a host name.
    assert len(made.training_name) + len("-0-abcde") <= 63
    assert len(made.check_name) + len("-abcde") <= 63
    for built in (config_map(made), check_job(made), training_job(made, 1)):
        assert len(built["metadata"]["name"]) <= 63
        assert all(len(value) <= 63 for value in built["metadata"]["labels"].values())
        assert built["metadata"]["annotations"]["distillation.dev/job"] == name


def test_a_successor_of_the_same_name_has_children_of_its_own():
    first, second = (plan(owner=Owner("team-a", "digits", uid)) for uid in ("1", "2"))
    assert first.training_name != second.training_name
    assert first.config_name != second.config_name


def test_where_it_runs_does_not_change_what_is_trained():
    assert plan().config.recipe_digest == plan({"resources": {"gpusPerNode": 0}}).config.recipe_digest
    assert plan().config.recipe_digest != plan({"training": {"epochs": 7}}).config.recipe_digest


def test_where_outputs_are_stored_does_not_change_what_is_trained_and_what_is_stored_does():
    asked = {"mode": "Cached", "encoding": "TopK", "topK": 8}
    digests = [
        plan({"teacherOutputs": outputs}).config.recipe_digest
        for outputs in (asked, asked | {"store": {"uri": "pvc://cache/x"}}, asked | {"topK": 9}, {})
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3
