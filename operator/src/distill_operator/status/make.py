"""The status that follows from a verdict."""

from __future__ import annotations

from datetime import datetime

from distill_api.status import Condition, ConditionType, DistillationJobStatus, Phase
from distill_operator.observe import Child, Observed
from distill_operator.status.conditions import format_time, merged, phase_of
from distill_operator.status.texts import metric_text, model_name, progress_text
from distill_operator.verdict import Verdict

FINAL = {Phase.SUCCEEDED, Phase.FAILED}
SPEAKS_FOR = {
    Phase.PENDING: ConditionType.ACCEPTED,
    Phase.CHECKING: ConditionType.CONTRACT_VALID,
    Phase.STARTING: ConditionType.RUNNING,
    Phase.RUNNING: ConditionType.RUNNING,
    Phase.EVALUATING: ConditionType.RUNNING,
    Phase.SUSPENDED: ConditionType.RUNNING,
    Phase.SUCCEEDED: ConditionType.TRAINED,
    Phase.FAILED: ConditionType.FAILED,
}
"""Which condition holds the sentence that matters in a phase."""


def next_status(observed: Observed, verdict: Verdict, now: datetime) -> DistillationJobStatus:
    """The status after `verdict`; the present one where nothing is said."""
    current = observed.status
    if verdict.silent:
        return current
    conditions = merged(current.conditions, verdict.said, observed.generation, now)
    phase = current.phase if current.phase in FINAL else phase_of(conditions)
    update: dict[str, object] = {
        "observed_generation": observed.generation,
        "phase": phase,
        "message": _message(phase or Phase.PENDING, conditions),
        "conditions": conditions,
        "serving": verdict.serving or current.serving,
    }
    if current.phase not in FINAL:
        update |= _life(observed, verdict, phase or Phase.PENDING, now)
    return current.model_copy(update=update)


def _life(observed: Observed, verdict: Verdict, phase: Phase, now: datetime) -> dict[str, object]:
    """What may change until the job has ended, and never after."""
    current = observed.status
    progress = verdict.progress or current.progress
    result = verdict.result or current.result
    update: dict[str, object] = {
        "attempt": max(current.attempt, observed.attempt),
        "restarts": max(current.restarts, _restarts(observed)),
        "disruptions": max(current.disruptions, observed.disruptions),
        "start_time": current.start_time or format_time(now),
        "completion_time": format_time(now) if phase in FINAL else None,
        "progress": progress,
        "progress_text": progress_text(progress, phase),
        "metric_text": metric_text(progress, result),
        "result": result,
        "lineage": verdict.lineage or current.lineage,
    }
    if observed.spec is not None:
        update |= {"teacher": model_name(observed.spec.teacher), "student": model_name(observed.spec.student)}
    return update


def _restarts(observed: Observed) -> int:
    """Failures of this training Job, and those that its predecessor had used of the limit."""
    training: Child | None = observed.training
    if training is None or observed.spec is None:
        return 0
    used_before = max(0, observed.spec.policy.backoff_limit - training.backoff_limit)
    return used_before + training.failures


def _message(phase: Phase, conditions: list[Condition]) -> str:
    """The sentence of the condition that speaks for the phase; where a rollout goes on, its sentence."""
    by_type = {condition.type: condition for condition in conditions}
    delivered = by_type.get(ConditionType.DELIVERED.value)
    if phase is Phase.SUCCEEDED and delivered is not None:
        return delivered.message
    running = by_type.get(ConditionType.RUNNING.value)
    if phase is Phase.CHECKING and running is not None:
        return running.message
    speaker = by_type.get(SPEAKS_FOR[phase].value)
    return speaker.message if speaker is not None else ""
