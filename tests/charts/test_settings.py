"""The chart's variables and the operator's settings are the same, in both directions."""

from dataclasses import fields

import pytest

settings = pytest.importorskip("distill_operator.settings")

# The port is the Service's and the probes' too, and a crash is ordered by tests alone.
NOT_THE_USERS = {"metrics_port", "metrics_host", "crash_after_write"}


@pytest.fixture(scope="module")
def variables(render, one):
    def of(*arguments):
        container = one(render(*arguments), "Deployment")["spec"]["template"]["spec"]["containers"][0]
        return {entry["name"]: entry.get("value") for entry in container["env"]}

    return of


def test_each_setting_has_its_variable(variables):
    names = {settings.PREFIX + field.name.upper() for field in fields(settings.Settings)}
    assert set(variables()) == names - {settings.PREFIX + name.upper() for name in NOT_THE_USERS}


def test_the_charts_defaults_are_the_operators(variables):
    given = {name: value for name, value in variables().items() if value is not None}
    assert settings.Settings.from_env(given) == settings.Settings.from_env(
        {"DISTILL_LEASE_NAME": given["DISTILL_LEASE_NAME"]}
    )


def test_values_arrive_as_settings(variables):
    given = variables(
        "--set",
        "watchNamespaces={team-a,team-b},training.requireGpu=true,replicas=2,serving.gateway.name=public,"
        "training.allowedImages={registry.example.com/ml/}",
        "--set-json",
        'tuning={"resyncSeconds": 0.5, "workers": 1000000}',
    )
    read = settings.Settings.from_env({name: value for name, value in given.items() if value is not None})
    assert read.namespaces == ("team-a", "team-b")
    assert read.require_gpu
    assert read.leader_election
    assert read.resync == 0.5
    assert read.workers == 1_000_000
    assert read.allowed_images == ("registry.example.com/ml/",)
    assert read.gateway_name == "public"


def test_the_trainers_image_follows_the_chart(variables):
    assert (
        variables("--set-string", "image.trainer.tag=7")["DISTILL_TRAINER_IMAGE"] == "distillation/trainer:7"
    )
