"""The words of a decision: what is looked at (`Case`) and what comes out (`Verdict`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from distill_api.job import DistillationJobSpec
from distill_api.status import ConditionType, Lineage, Progress, Result, ServingStatus
from distill_operator.observe import Child, Observed
from distill_operator.plan import TrainingPlan
from distill_operator.settings import Settings


@dataclass(frozen=True)
class Case:
    """All that a check may look at. `plan` is None exactly where the spec is invalid."""

    observed: Observed
    plan: TrainingPlan | None
    settings: Settings
    now: datetime

    @property
    def spec(self) -> DistillationJobSpec:
        """The valid spec; the checks before `refused` do not ask for it."""
        if self.observed.spec is None:
            raise AssertionError("a check after `refused` saw an invalid spec")
        return self.observed.spec

    @property
    def training(self) -> Child | None:
        """The training Job."""
        return self.observed.training


@dataclass(frozen=True)
class Said:
    """A condition without its times."""

    type: ConditionType
    status: str
    reason: str
    message: str
    sticky: bool = False
    """The first sentence of a reason stays: details of retries that flap are no news."""


def yes(kind: ConditionType, reason: str, message: str) -> Said:
    """A condition that holds."""
    return Said(kind, "True", reason, message)


def no(kind: ConditionType, reason: str, message: str, *, sticky: bool = False) -> Said:
    """A condition that does not hold."""
    return Said(kind, "False", reason, message, sticky)


def unknown(kind: ConditionType, reason: str, message: str) -> Said:
    """A condition that is not settled yet."""
    return Said(kind, "Unknown", reason, message)


@dataclass(frozen=True)
class CreateConfig:
    """Write the ConfigMap with trainer.json."""


@dataclass(frozen=True)
class CreateCheck:
    """Create the Job of the contract check."""


@dataclass(frozen=True)
class CreateTraining:
    """Create the training Job with what is left of the retries."""

    backoff_limit: int


@dataclass(frozen=True)
class SetSuspend:
    """Take the training's pods away, or let them come back."""

    child: str
    suspend: bool


@dataclass(frozen=True)
class DeleteChild:
    """Delete a child Job and its pods, so that what they hold is free."""

    child: str
    uid: str


@dataclass(frozen=True)
class DeleteSelf:
    """Delete the DistillationJob: its time after the end is over."""


@dataclass(frozen=True)
class Deliver:
    """Let the rollout of a service look at this job's student."""

    service: str


Action = CreateConfig | CreateCheck | CreateTraining | SetSuspend | DeleteChild | DeleteSelf | Deliver


@dataclass(frozen=True)
class Verdict:
    """What is said and done about a job. Conditions that are not said stay as they are.

    `actions` come before the status is written, so that the status never promises what is not there; `cleanup`
    after it, so that a process that dies in between still knows why.
    """

    said: tuple[Said, ...] = ()
    actions: tuple[Action, ...] = ()
    cleanup: tuple[Action, ...] = ()
    requeue: float | None = None
    """Seconds until the next look, for what no event tells."""
    progress: Progress | None = None
    result: Result | None = None
    lineage: Lineage | None = None
    serving: ServingStatus | None = None
    silent: bool = field(default=False)
    """Leave the status alone."""
