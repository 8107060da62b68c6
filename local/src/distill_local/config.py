"""What a cluster is asked to be, and what it says of itself: the two documents that `up` and the supervisor exchange."""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

from distill_local.files import read_json, write_atomic


@dataclass(frozen=True)
class ClusterConfig:
    """One cluster's settings, written by `up`; ports are those on 127.0.0.1 outside."""

    name: str
    kserve: bool
    node: bool
    gpus: int
    programs: str
    kserve_programs: str
    api_port: int
    gateway_port: int
    metrics_port: int

    def write(self, path: Path) -> None:
        """Store the settings at `path`."""
        write_atomic(path, json.dumps(asdict(self), indent=2))

    def with_ports(self, api: int, gateway: int, metrics: int) -> "ClusterConfig":
        """Return the settings with the ports that were bound."""
        return replace(self, api_port=api, gateway_port=gateway, metrics_port=metrics)

    @classmethod
    def read(cls, path: Path) -> "ClusterConfig | None":
        """Return the settings stored at `path`, None if there are none (or they are another version's)."""
        document = read_json(path)
        if document is None:
            return None
        try:
            return cls(**document)
        except TypeError:
            return None


@dataclass(frozen=True)
class Step:
    """One line of the list that `distill up` shows; times are seconds since the epoch."""

    title: str
    started: float
    ended: float | None = None


Phase = Literal["starting", "ready", "failed"]


@dataclass(frozen=True)
class ClusterStatus:
    """What the supervisor last wrote about the cluster."""

    phase: Phase = "starting"
    steps: tuple[Step, ...] = ()
    error: str = ""
    restarts: dict[str, int] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Store the status at `path`."""
        write_atomic(path, json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> "ClusterStatus | None":
        """Return the status stored at `path`, None if nothing was written yet."""
        document = read_json(path)
        if document is None:
            return None
        steps = tuple(Step(**step) for step in document.pop("steps"))
        return cls(steps=steps, **document)

    def begun(self, title: str, now: float) -> "ClusterStatus":
        """Return the status with one more step, begun at `now`."""
        return replace(self, steps=(*self.steps, Step(title, now)))

    def done(self, title: str, now: float) -> "ClusterStatus":
        """Return the status with the step `title` ended at `now`."""
        steps = tuple(
            replace(s, ended=now) if s.title == title and s.ended is None else s for s in self.steps
        )
        return replace(self, steps=steps)
