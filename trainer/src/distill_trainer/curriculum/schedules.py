"""Temperature and α as functions of the step.

Annealed temperature: Jafari, Rezagholizadeh, Sharma, Ghodsi: Annealing Knowledge Distillation (arXiv 2104.07163), which goes
down by epochs; here each step has its own value.
"""

from __future__ import annotations

import math

from distill_api.curriculum import Schedule, Shape
from distill_trainer.curriculum.timetable import Timetable


def value_at(schedule: Schedule | None, step: int, table: Timetable) -> float | None:
    """The value of optimizer step `step` (from 0); None where nothing is scheduled."""
    if schedule is None:
        return None
    steps = table.steps_until(schedule.until_epoch)
    return between(schedule.start, schedule.end, share(schedule.shape, step, steps))


def share(shape: Shape, step: int, steps: int) -> float:
    """How much of the way is done at `step` of `steps`: 0 at the first, 1 at the last and after it."""
    done = min(step / max(steps - 1, 1), 1.0)
    return (1 - math.cos(math.pi * done)) / 2 if shape is Shape.COSINE else done


def between(start: float, end: float, done: float) -> float:
    """Exactly `start` at 0 and `end` at 1."""
    return end if done == 1 else start + (end - start) * done
