"""The words of the printer columns: `0% loading`, `63% 1m41s left`, `0.979 (99.1%)`, `convnet-large`."""

from __future__ import annotations

from distill_api.sources import Student, Teacher
from distill_api.status import Phase, Progress, Result

NAME_LIMIT = 256
BEFORE_TRAINING = {"Loading", "Fetching", "Caching"}
"""Stages in which no step is done yet."""


def model_name(model: Teacher | Student) -> str:
    """What people call a model: its name, the last part of its hub id, its function, or how much of its teacher it is."""
    named = model.builtin or model.timm or model.torchvision
    if named is not None:
        return named.name
    if model.python is not None:
        return model.python.factory
    if model.hugging_face is not None:
        return model.hugging_face.id.rstrip("/").rpartition("/")[2][:NAME_LIMIT]
    init = model.init_from_teacher if isinstance(model, Student) else None
    if init is not None:
        return f"{init.count or len(init.layers or ())} of the teacher's layers"
    return "unknown"


def duration_text(total: int) -> str:
    """`41s`, `1m41s`, `2h05m`, `3d4h`: two units at most."""
    minutes, rest = divmod(max(0, total), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d{hours}h"
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def progress_text(progress: Progress | None, phase: Phase) -> str | None:
    """The PROGRESS column."""
    if phase is Phase.SUCCEEDED:
        return "100%"
    if progress is None:
        return None
    text = f"{progress.percent}%"
    if phase is Phase.RUNNING and progress.stage in BEFORE_TRAINING:
        text += f" {progress.stage.lower()}"
    elif phase is Phase.RUNNING and progress.seconds_remaining is not None:
        text += f" {duration_text(progress.seconds_remaining)} left"
    return text


def metric_text(progress: Progress | None, result: Result | None) -> str | None:
    """The METRIC column: the student's value and its share of the teacher's."""
    if result is not None:
        return f"{result.student.metric:.3f} ({result.retained * 100:.1f}%)"
    if progress is None or progress.student_metric is None:
        return None
    value = f"{progress.student_metric:.3f}"
    if not progress.teacher_metric:
        return value
    return f"{value} ({progress.student_metric / progress.teacher_metric * 100:.1f}%)"
