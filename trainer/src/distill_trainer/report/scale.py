"""Axes: round tick values and the way from data to pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_LEAST = 1e-3
"""Values that differ by less of themselves count as equal."""
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Scale:
    """Maps [low, high] to [start, end] in pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        span = self.high - self.low
        share = (value - self.low) / span if span else 0.5
        return self.start + share * (self.end - self.start)


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """About `count` round values (1, 2 or 5 times a power of ten) that enclose [low, high]."""
    span = (high - low) or abs(high) or 1.0
    rough = span / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{index * step:.12g}") for index in range(first, max(last, first + 1) + 1)]


def domain(values: Sequence[float], most: float | None) -> tuple[float, float]:
    """What an axis has to show: never wider than `most` at its top, and never nothing, so that equal values have an axis too."""
    low, high = min(values), max(values)
    if most is not None:
        high = min(high, most)
    if high - low < _LEAST * max(abs(high), abs(low)):
        return (high - _LEAST * abs(high) * 2, high) if high == most else (low, low + _LEAST * abs(low) * 2)
    return low, high


def shared_power(marks: Sequence[float]) -> tuple[str, float]:
    """`× 10⁻⁵` and 1e-5, where ticks have too many zeros to be read; nothing and 1 else."""
    largest = max(map(abs, marks))
    if not largest or 0.01 <= largest < 10_000:
        return "", 1.0
    power = math.floor(math.log10(largest) + 1e-9)
    return f"× 10{str(power).translate(_RAISED)}", 10.0**power


def round_number(mark: float, *, as_percent: bool) -> str:
    """A tick as it is written."""
    return f"{100 * mark:g}\u202f%" if as_percent else f"{mark:.6g}"
