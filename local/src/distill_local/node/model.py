"""The state of a container between the modules of the node: frozen, and rendered by `status`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


def now() -> datetime:
    """Return the time in UTC."""
    return datetime.now(UTC)


def timestamp(when: datetime) -> str:
    """Return a time as the API writes it."""
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_timestamp(text: str) -> datetime:
    """Read a time as the API writes it."""
    return datetime.fromisoformat(text)


@dataclass(frozen=True)
class Waiting:
    """A container that does not run yet, or not again yet."""

    reason: str
    message: str = ""


@dataclass(frozen=True)
class Running:
    """A container that runs."""

    started: datetime


@dataclass(frozen=True)
class Terminated:
    """A container that has ended; the exit code is 128 + the signal where a signal ended it."""

    exit_code: int
    reason: str
    started: datetime | None
    finished: datetime
    message: str = ""
    container_id: str = ""


State = Waiting | Running | Terminated


@dataclass(frozen=True)
class View:
    """What the API shows of one container."""

    name: str
    image: str
    state: State
    last: Terminated | None = None
    restarts: int = 0
    ready: bool = False
    started: bool = False
    container_id: str = ""


def is_sidecar(container: dict[str, Any]) -> bool:
    """Tell whether an init container goes on running beside the containers."""
    return container.get("restartPolicy") == "Always"
