"""The trainer's progress in words. Pure; used by the displays."""

from __future__ import annotations

from distill_api.status import Progress, pace
from distill_cli.training.process import Event


def progress_of(event: Event) -> Progress:
    """The progress in an event."""
    return Progress.model_validate({name: value for name, value in event.items() if name != "event"})


def share(progress: Progress) -> tuple[int, int | None]:
    """How far the bar is, and of how much; None where nobody knows yet."""
    if progress.stage == "Training" and progress.total_steps:
        return progress.step, progress.total_steps
    if progress.stage in {"Fetching", "Caching"}:
        return progress.percent, 100
    return (1, 1) if progress.total_steps else (0, None)


def where(progress: Progress) -> str:
    """`epoch 2/5  12s left  1,234 samples/s`: how far it is; only what is known."""
    stage = f"{progress.training_stage}: " if progress.training_stage else ""
    parts = [f"{stage}epoch {progress.epoch}/{progress.epochs}"] if progress.epoch else []
    if progress.seconds_remaining is not None:
        parts.append(f"{duration(progress.seconds_remaining)} left")
    if progress.samples_per_second:
        parts.append(f"{pace(progress.samples_per_second)} samples/s")
    return "  ".join(parts)


def figures(progress: Progress) -> str:
    """`loss 1.230 (labels 0.512, teacher 1.310)  student 0.900  teacher 0.990`; only what is known."""
    parts = []
    if progress.losses is not None:
        losses = progress.losses
        parts.append(f"loss {losses.total:.3f} (labels {losses.task:.3f}, teacher {losses.distillation:.3f})")
    for name, value in (("student", progress.student_metric), ("teacher", progress.teacher_metric)):
        if value is not None:
            parts.append(f"{name} {value:.3f}")
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """75 → `1m15s`, 7300 → `2h01m`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m"
