"""Which epoch takes how many samples in how many steps: everything that counts steps asks here."""

from __future__ import annotations

from dataclasses import dataclass

from distill_trainer.order import batch_count


@dataclass(frozen=True)
class EpochPlan:
    """An epoch (from 1): `steps` steps, of which the first is number `first` of the training (from 0)."""

    epoch: int
    first: int
    steps: int


@dataclass(frozen=True)
class Timetable:
    """The epochs of a training, in order."""

    epochs: tuple[EpochPlan, ...]

    @property
    def total(self) -> int:
        """Steps in all."""
        return self.steps_until(None)

    def epoch(self, number: int) -> EpochPlan:
        """Epoch `number`, from 1."""
        return self.epochs[number - 1]

    def steps_until(self, epoch: int | None) -> int:
        """Steps up to the end of an epoch; of the last one when not given."""
        last = self.epochs[-1 if epoch is None else epoch - 1]
        return last.first + last.steps


def timetable(epochs: int, samples: int, batch_size: int) -> Timetable:
    """Each epoch takes all samples."""
    steps = batch_count(samples, batch_size)
    return Timetable(tuple(EpochPlan(number + 1, number * steps, steps) for number in range(epochs)))
