"""Which epoch belongs to which stage, takes how many samples and how many steps: everything that counts steps asks here."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from distill_trainer.order import batch_count


@dataclass(frozen=True)
class Span:
    """`steps` steps, the first of which is number `first` of the training (from 0)."""

    first: int
    steps: int

    @property
    def end(self) -> int:
        """The step after the last."""
        return self.first + self.steps


@dataclass(frozen=True)
class Timetable:
    """The steps of each epoch and of each stage, in order; `stage_of` is the stage of each epoch, `samples` what it takes."""

    epochs: tuple[Span, ...]
    stages: tuple[Span, ...]
    stage_of: tuple[int, ...]
    samples: tuple[int, ...]

    @property
    def total(self) -> int:
        """Steps in all."""
        return self.epochs[-1].end

    def stage_at(self, step: int) -> int:
        """The stage of a step; the last one for steps beyond it."""
        return next((at for at, span in enumerate(self.stages) if step < span.end), len(self.stages) - 1)

    def epoch_at(self, step: int) -> int:
        """The epoch (from 1) of a step."""
        return bisect_right(self.epochs, step, key=lambda span: span.first)

    def steps_until(self, epoch: int | None) -> int:
        """Steps up to the end of an epoch (from 1); of the last one when not given."""
        return self.total if epoch is None else self.epochs[epoch - 1].end


def timetable(stages: Sequence[int], samples: Sequence[int], batch_size: int) -> Timetable:
    """`stages` are the epochs of each, `samples` what each epoch takes."""
    epochs: list[Span] = []
    for count in samples:
        epochs.append(Span(epochs[-1].end if epochs else 0, batch_count(count, batch_size)))
    spans, done = [], 0
    for number in stages:
        own = epochs[done : done + number]
        spans.append(Span(own[0].first, own[-1].end - own[0].first))
        done += number
    stage_of = tuple(stage for stage, number in enumerate(stages) for _ in range(number))
    return Timetable(tuple(epochs), tuple(spans), stage_of, tuple(samples))
