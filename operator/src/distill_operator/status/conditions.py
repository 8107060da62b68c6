"""Conditions, and the phase that follows from them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from distill_api.status import Condition, ConditionType, Phase
from distill_operator.verdict import Said

MESSAGE_LIMIT = 1024
SUSPENDED, EVALUATING = "Suspended", "Evaluating"
ORDER = {kind.value: index for index, kind in enumerate(ConditionType)}


def format_time(now: datetime) -> str:
    """RFC 3339 in UTC, to the second."""
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")


def merged(
    current: Iterable[Condition], said: Iterable[Said], generation: int, now: datetime
) -> list[Condition]:
    """The conditions with what is newly said; `lastTransitionTime` moves with `status` alone."""
    by_type = {condition.type: condition for condition in current}
    for one in said:
        by_type[one.type.value] = _condition(by_type.get(one.type.value), one, generation, now)
    return sorted(by_type.values(), key=lambda condition: ORDER.get(condition.type, len(ORDER)))


def _condition(before: Condition | None, said: Said, generation: int, now: datetime) -> Condition:
    message = _bounded(said.message)
    time = format_time(now)
    if before is not None and before.status == said.status:
        time = before.last_transition_time
        if said.sticky and before.reason == said.reason:
            message = before.message
        if (before.reason, before.message) == (said.reason, message):
            return before
    return Condition(
        type=said.type.value,
        status=said.status,
        reason=said.reason,
        message=message,
        last_transition_time=time,
        observed_generation=generation,
    )


def _bounded(message: str) -> str:
    return message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…"


def phase_of(conditions: Iterable[Condition]) -> Phase:
    """The one word for a set of conditions, strongest first."""
    by_type = {condition.type: condition for condition in conditions}

    def holds(kind: ConditionType) -> bool:
        condition = by_type.get(kind.value)
        return condition is not None and condition.status == "True"

    if holds(ConditionType.FAILED):
        return Phase.FAILED
    if holds(ConditionType.TRAINED):
        return Phase.SUCCEEDED
    running = by_type.get(ConditionType.RUNNING.value)
    if running is not None and running.status == "True":
        return Phase.EVALUATING if running.reason == EVALUATING else Phase.RUNNING
    if running is not None and running.reason == SUSPENDED:
        return Phase.SUSPENDED
    if holds(ConditionType.CONTRACT_VALID):
        return Phase.STARTING
    return Phase.CHECKING if holds(ConditionType.ACCEPTED) else Phase.PENDING
