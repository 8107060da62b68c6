"""What has to be written of a status, and how soon: not at all, when the time comes, or now."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from distill_api.status import Condition, DistillationJobStatus, Progress


class Urgency(IntEnum):
    """How soon a change is to be written."""

    NONE = 0
    PROGRESS = 1
    """Only the progress moved."""
    WORDING = 2
    """Only sentences changed, as a scheduler's counts do."""
    NOW = 3


def changes_of(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """The JSON merge patch (RFC 7386) that turns `before` into `after`."""
    patch: dict[str, Any] = {name: None for name in before if name not in after}
    for name, value in after.items():
        old = before.get(name)
        if isinstance(old, dict) and isinstance(value, dict):
            inner = changes_of(old, value)
            if inner:
                patch[name] = inner
        elif old != value:
            patch[name] = value
    return patch


def urgency(before: DistillationJobStatus, after: DistillationJobStatus) -> Urgency:
    """How soon `after` is to be written over `before`."""
    if before == after:
        return Urgency.NONE
    if _without_progress(before, words=True) == _without_progress(after, words=True):
        return Urgency.PROGRESS if moved(before.progress, after.progress) else Urgency.NONE
    same = _without_progress(before, words=False) == _without_progress(after, words=False)
    return Urgency.WORDING if same else Urgency.NOW


def moved(before: Progress | None, after: Progress | None) -> bool:
    """Whether progress is worth a write: a percent more, another stage, another epoch's metric."""
    if before is None or after is None:
        return before is not after
    return (before.percent, before.stage, before.student_metric) != (
        after.percent,
        after.stage,
        after.student_metric,
    )


def _without_progress(status: DistillationJobStatus, *, words: bool) -> DistillationJobStatus:
    update: dict[str, Any] = {"progress": None, "progress_text": None, "metric_text": None}
    if not words:
        update |= {"message": None, "conditions": [_wordless(condition) for condition in status.conditions]}
        update |= {"serving": status.serving and status.serving.model_copy(update={"message": ""})}
    return status.model_copy(update=update)


def _wordless(condition: Condition) -> Condition:
    return condition.model_copy(update={"message": "", "observed_generation": None})
