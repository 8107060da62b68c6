"""What `decide` answers and `reconcile` carries out: at most one change to the cluster at a time."""

from __future__ import annotations

from dataclasses import dataclass

from distill_operator.rollout.model import Candidate, State, Version


@dataclass(frozen=True)
class WriteRoute:
    """Write the state and the weights that follow from it; create the HTTPRoute where there is none."""

    state: State


@dataclass(frozen=True)
class CreateVersion:
    """Create the InferenceService of a candidate."""

    candidate: Candidate


@dataclass(frozen=True)
class ResizeVersion:
    """Give a version the replicas and resources that its job asks for by now."""

    candidate: Candidate


@dataclass(frozen=True)
class DeleteVersion:
    """Delete an InferenceService that is out of the route."""

    version: Version


@dataclass(frozen=True)
class DeleteRoute:
    """Delete the HTTPRoute: nothing is served and nobody asks for it."""


Action = WriteRoute | CreateVersion | ResizeVersion | DeleteVersion | DeleteRoute


@dataclass(frozen=True)
class Notice:
    """A sentence for a job's Events, told once the action has succeeded.

    Only what no condition of the job turns on: how a rollout ends, its status tells.
    """

    uid: str
    job: str
    reason: str
    message: str
    warning: bool = False
    once: bool = False
    """Told with every failing try, and one Event all the same."""


@dataclass(frozen=True)
class Decision:
    """What to do now; without an action, how many seconds to wait (for an event, where None)."""

    reason: str
    """Name of the rule, one CamelCase word."""
    action: Action | None = None
    wait: float | None = None
    message: str = ""
    notices: tuple[Notice, ...] = ()
    rolled_back: bool = False
