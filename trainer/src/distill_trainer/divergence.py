"""When a loss is lost, and what is done about it. Called by the loop each time it has read the losses.

A training that diverges goes back to its last checkpoint once and goes on at half the learning rate; when that does not
help, it fails and says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from distill_api.training import Training
from distill_trainer.errors import Diverged
from distill_trainer.snapshot import EpochRecord, Position

EXPLODED = 100
"""Times the mean loss of the first epoch: no training that gets better does this, and a bound on the loss has none."""
SLOWER = 0.5
"""What the learning rate is multiplied by after going back."""


def is_lost(losses: Sequence[float], mean: float, history: Sequence[EpochRecord]) -> bool:
    """Whether one of the losses is no finite number, or their mean is more than a hundred times the first epoch's."""
    if not all(map(math.isfinite, losses)):
        return True
    return bool(history) and mean > EXPLODED * history[0].loss > 0


def slowed(rolled_back_at: int, safe: Position) -> Position:
    """The position of the checkpoint to go on from, at half the rate; it remembers where the loss was lost."""
    return Position(
        safe.epoch, safe.batches_done, safe.step, safe.sums, safe.rate_scale * SLOWER, rolled_back_at
    )


def going_back(position: Position, total: int, training: Training) -> str:
    """Log, result and report say this of a training that went back."""
    return (
        f"the loss was lost at step {position.lost_at} of {total}; the training went back to its last checkpoint and on at "
        f"half of training.learningRate {training.learning_rate:g}"
    )


def diverged(first: int, last: int, total: int, training: Training) -> Diverged:
    """The end of a training that was lost a second time."""
    clip = "lower it" if training.gradient_clip else "lower it or set training.gradientClip"
    return Diverged(
        f"the loss is no finite number any more, or {EXPLODED} times that of the first epoch, at half the rate too (step {first} "
        f"to {last} of {total}, training.learningRate {training.learning_rate:g}): {clip}"
    )
