"""The operator's settings: read once from the environment, then passed down as one frozen value.

The chart sets them (`charts/distillation-operator/values.yaml`); `__main__` reads them; nobody else looks at the
environment, so that a test can hand in whatever it needs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from distill_operator.errors import SettingsError

T = TypeVar("T")
PREFIX = "DISTILL_"
TRUE, FALSE = {"true", "1", "yes"}, {"false", "0", "no", ""}


@dataclass(frozen=True)
class Settings:
    """Each field is set by the environment variable DISTILL_<FIELD IN CAPITALS>."""

    namespaces: tuple[str, ...] = ()
    """Namespaces to watch, separated by commas; all when empty."""
    trainer_image: str = "distillation/trainer:0.1.0"
    image_pull_policy: str = "IfNotPresent"
    allowed_images: tuple[str, ...] = ()
    """Prefixes that `resources.template.image` may have; any image when empty."""
    service_account: str = ""
    """ServiceAccount of the training pods; the namespace's `default`, without a token, when empty."""
    require_gpu: bool = False
    """Refuse jobs with `resources.gpusPerNode: 0`."""
    check_timeout: float = 600.0
    """Seconds that the contract check may run."""
    termination_grace: int = 30
    """Seconds between SIGTERM and SIGKILL of a training pod: long enough to write a checkpoint."""

    gateway_name: str = "kserve-ingress-gateway"
    gateway_namespace: str = "kserve"
    ingress_domain: str = "example.com"
    """Services answer at `<service>-<namespace>.<ingress domain>`."""
    serving_runtime: str = "distilled-student"
    """Model format (and ClusterServingRuntime) of the student's server."""

    workers: int = 16
    """Reconciliations that run at the same time."""
    resync: float = 300.0
    """Seconds between two passes over everything."""
    discovery: float = 30.0
    """Seconds between two looks whether KServe and the Gateway API have been installed."""
    progress_poll: float = 2.0
    """Seconds between two looks at a trainer's progress (in memory)."""
    status_interval: float = 10.0
    """Least seconds between two status writes for progress alone."""
    request_timeout: float = 30.0
    retry_max: float = 60.0
    """Longest back-off of a failing reconciliation, seconds."""

    metrics_port: int = 8080
    metrics_host: str = "0.0.0.0"  # noqa: S104 - the kubelet's probes and Prometheus come from outside the pod
    leader_election: bool = False
    lease_name: str = "distillation-operator"
    lease_seconds: float = 15.0
    operator_namespace: str = "default"
    """Where the Lease is kept."""
    pod_name: str = "distillation-operator"
    log_level: str = "INFO"
    crash_after_write: int = 0
    """For tests of recovery: the process ends hard after so many writes to the API server; never when 0."""

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Settings:
        """Settings from `env` (the process' environment by default). Raises SettingsError."""
        source = os.environ if env is None else env
        values: dict[str, Any] = {}
        for field in fields(cls):
            name = PREFIX + field.name.upper()
            if name in source:
                values[field.name] = _parse(name, source[name], type(field.default))
        return cls(**values)


def _parse(name: str, text: str, kind: type[T]) -> Any:
    parsers: dict[type[Any], Callable[[str], Any]] = {
        bool: _boolean,
        int: int,
        float: float,
        tuple: lambda value: tuple(part.strip() for part in value.split(",") if part.strip()),
    }
    try:
        return parsers.get(kind, str)(text)
    except ValueError:
        raise SettingsError(f"{name}={text!r} is no {kind.__name__}; correct it or unset it") from None


def _boolean(text: str) -> bool:
    if text.lower() in TRUE:
        return True
    if text.lower() in FALSE:
        return False
    raise ValueError(text)
