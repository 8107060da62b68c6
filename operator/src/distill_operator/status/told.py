"""The job's story as Kubernetes Events: one for each condition that takes a turn worth telling."""

from __future__ import annotations

from dataclasses import dataclass

from distill_api.status import Condition, ConditionType, DistillationJobStatus

QUIET = {"Accepted", "Checking", "Starting", "Ended", "Deploying", "Holding", "Promoting"}
"""Reasons that `kubectl get` shows anyway, or that the rollout tells with figures of its own."""


@dataclass(frozen=True)
class Told:
    """An Event: Normal or Warning, a reason and a sentence."""

    kind: str
    reason: str
    message: str


def told(before: DistillationJobStatus, after: DistillationJobStatus) -> list[Told]:
    """The Events of the step from one status to the next."""
    known = {condition.type: condition for condition in before.conditions}
    events = [
        _event(condition) for condition in after.conditions if _news(known.get(condition.type), condition)
    ]
    return list(dict.fromkeys(events))


def _news(before: Condition | None, after: Condition) -> bool:
    if after.reason in QUIET:
        return False
    return before is None or (before.status, before.reason) != (after.status, after.reason)


def _event(condition: Condition) -> Told:
    good = condition.status == "True" and condition.type != ConditionType.FAILED
    calm = condition.status == "Unknown" or condition.reason in {"Suspended", "Superseded"}
    return Told("Normal" if good or calm else "Warning", condition.reason, condition.message)
