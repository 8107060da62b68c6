"""Settings come from the environment, or stop the start with a sentence."""

import pytest

from distill_operator.errors import SettingsError
from distill_operator.settings import Settings


def test_every_kind_of_value_is_read():
    env = {
        "DISTILL_NAMESPACES": "team-a, team-b",
        "DISTILL_REQUIRE_GPU": "true",
        "DISTILL_RESYNC": "12.5",
        "DISTILL_METRICS_PORT": "9090",
        "DISTILL_TRAINER_IMAGE": "registry.example.com/trainer:1",
    }
    settings = Settings.from_env(env)
    assert settings.namespaces == ("team-a", "team-b")
    assert settings.require_gpu is True
    assert (settings.resync, settings.metrics_port) == (12.5, 9090)
    assert settings.trainer_image == "registry.example.com/trainer:1"


def test_nothing_set_is_the_defaults():
    assert Settings.from_env({}) == Settings()


@pytest.mark.parametrize(
    ("name", "value"), [("METRICS_PORT", "http"), ("REQUIRE_GPU", "perhaps"), ("RESYNC", "5m")]
)
def test_a_wrong_value_is_named(name, value):
    with pytest.raises(SettingsError, match=f"DISTILL_{name}='{value}' is no"):
        Settings.from_env({f"DISTILL_{name}": value})
