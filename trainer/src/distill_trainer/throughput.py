"""How many samples a second each model takes in batches, on the machine at hand, and the energy of each where it is measured."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from distill_trainer.batch import Inputs, any_tensor
from distill_trainer.energy import Meter

_TURNS = 2
_BATCHES, _SECONDS = 10, 0.5
_METERED_SECONDS = 2.0
"""Counters move in steps of up to a tenth of a second: a turn that they are read around must be long beside that."""


@dataclass(frozen=True)
class Throughput:
    """Samples a second, and joules a sample; None where no counter tells."""

    samples_per_second: float
    joules_per_sample: float | None = None


def measure(models: Sequence[nn.Module], inputs: Inputs, meter: Meter) -> tuple[Throughput, ...]:
    """Each model on the same batch, in turns, so that whatever else the machine does meets all of them; the faster turn counts.

    A turn is at most ten batches or half a second; two seconds where energy is measured, whose lesser turn counts.
    """
    turns = [[_turn(model, inputs, meter) for model in models] for _ in range(_TURNS)]
    return tuple(_best([turn[place] for turn in turns]) for place in range(len(models)))


def _best(turns: Sequence[Throughput]) -> Throughput:
    joules = [turn.joules_per_sample for turn in turns if turn.joules_per_sample is not None]
    return Throughput(max(turn.samples_per_second for turn in turns), min(joules, default=None))


def _turn(model: nn.Module, inputs: Inputs, meter: Meter) -> Throughput:
    size, done = len(any_tensor(inputs)), 0
    batches, seconds = (None, _METERED_SECONDS) if meter else (_BATCHES, _SECONDS)
    model.eval()
    with torch.inference_mode():
        model(inputs)
        _wait(inputs)
        before, began = meter.read(), time.perf_counter()
        while not done or (time.perf_counter() - began < seconds and done != batches):
            model(inputs)
            _wait(inputs)
            done += 1
        taken, joules = time.perf_counter() - began, meter.since(before)
    return Throughput(size * done / taken, joules / (size * done) if meter else None)


def _wait(inputs: Inputs) -> None:
    """A GPU works behind the program's back: wait until it is done."""
    if any_tensor(inputs).is_cuda:
        torch.cuda.synchronize()
