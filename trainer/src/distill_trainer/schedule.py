"""The learning rate as a pure function of the step: a resumed run needs no state to go on exactly."""

from __future__ import annotations

import math

from distill_api.training import LearningRateSchedule, Training


def learning_rate(step: int, total: int, training: Training) -> float:
    """Rate of optimizer step `step` (from 0) of `total`: a linear rise to the peak, then the schedule down to 0."""
    warmup = min(math.ceil(training.warmup_ratio * total), total)
    if step < warmup:
        return training.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(total - warmup, 1)
    return training.learning_rate * _share_left(training.schedule, done)


def _share_left(schedule: LearningRateSchedule, done: float) -> float:
    """Share of the peak when `done` (0 … 1) of the steps after warm-up are done."""
    if schedule is LearningRateSchedule.COSINE:
        return (1 + math.cos(math.pi * done)) / 2
    return 1 - done if schedule is LearningRateSchedule.LINEAR else 1.0
