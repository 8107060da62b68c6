"""How many samples a second each model predicts, and with how much energy where the machine measures it."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from distill_api.status import MeasuredOn
from distill_trainer.batch import Inputs
from distill_trainer.energy import Meter, NotMeasured, find_meter
from distill_trainer.judging import Reading
from distill_trainer.latency import wait_for

_BATCHES = 4
_SECONDS = 2.0
"""For each model, after one pass that warms it up."""
_ROUNDS = 5
_METERED_SECONDS = 0.4
"""Length of a turn where there is a meter: counters are renewed every millisecond (RAPL) to every 100 ms (NVML)."""


@dataclass(frozen=True)
class Speed:
    """One model's: the median over its turns, and the energy of all of them; None where nothing measures it."""

    samples_per_second: float
    joules_per_thousand_samples: float | None


@dataclass(frozen=True)
class Compared:
    """Both models on the same batches in turn, and on what."""

    teacher: Speed
    student: Speed
    measured_on: MeasuredOn


@dataclass
class _Turns:
    """What one model has done so far; `repeats` passes over the batches are a turn."""

    model: nn.Module
    repeats: int
    rates: list[float] = field(default_factory=list)
    samples: int = 0
    joules: float = 0.0


def compare(teacher: nn.Module, student: nn.Module, reading: Reading) -> Compared:
    """Time both on the first batches of a split, by turns, so that what else the machine does meets both alike.

    Raises Disrupted when asked to stop.
    """
    meter, source = _meter(reading.device)
    batches, samples = _batches(reading)
    turns = [_Turns(model.eval(), 1) for model in (teacher, student)]
    for each in turns:
        seconds = _run(each, batches, reading)
        each.repeats = 1 if meter is None else max(1, round(_METERED_SECONDS / seconds))
    end = time.perf_counter() + _SECONDS * len(turns)
    for done in range(_ROUNDS):
        if done and time.perf_counter() >= end:
            break
        for each in turns:
            _turn(each, batches, samples, reading, meter)
    theirs, mine = (_speed(each, meter) for each in turns)
    return Compared(theirs, mine, _measured_on(reading, source))


def _meter(device: torch.device) -> tuple[Meter | None, str]:
    """With a phrase that says what it counts, or why there is none."""
    try:
        meter = find_meter(device)
    except NotMeasured as reason:
        return None, str(reason)
    return meter, f"energy by {meter.source}"


def _batches(reading: Reading) -> tuple[list[Inputs], int]:
    """On the device already: reading samples is not what is timed."""
    places = torch.split(torch.arange(len(reading.split)), reading.batch_size)[:_BATCHES]
    inputs = [reading.split.batch(indices).to(reading.device).inputs for indices in places]
    return inputs, sum(len(indices) for indices in places)


def _turn(
    turns: _Turns, batches: Sequence[Inputs], samples: int, reading: Reading, meter: Meter | None
) -> None:
    before = meter.read() if meter else ()
    seconds = _run(turns, batches, reading)
    turns.joules += meter.joules(before, meter.read()) if meter else 0.0
    turns.rates.append(turns.repeats * samples / seconds)
    turns.samples += turns.repeats * samples


def _run(turns: _Turns, batches: Sequence[Inputs], reading: Reading) -> float:
    """Seconds of one turn."""
    wait_for(reading.device)
    began = time.perf_counter()
    with torch.inference_mode():
        for _ in range(turns.repeats):
            for inputs in batches:
                reading.stop.check()
                turns.model(inputs)
    wait_for(reading.device)
    return time.perf_counter() - began


def _speed(turns: _Turns, meter: Meter | None) -> Speed:
    joules = 1000 * turns.joules / turns.samples if meter else None
    return Speed(
        float(f"{statistics.median(turns.rates):.4g}"), None if joules is None else float(f"{joules:.4g}")
    )


def _measured_on(reading: Reading, energy: str) -> MeasuredOn:
    gpu = reading.device.type == "cuda"
    name = torch.cuda.get_device_name(reading.device) if gpu else f"CPU ({platform.machine()})"
    threads = None if gpu else torch.get_num_threads()
    return MeasuredOn(
        device=name[:64],
        threads=threads,
        batch_size=min(reading.batch_size, len(reading.split)),
        energy=energy[:256],
    )
