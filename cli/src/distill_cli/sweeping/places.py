"""Where a combination stands in the pictures of a sweep, and what is said of it there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from distill_cli.sweeping.knobs import KNOBS
from distill_cli.sweeping.ranking import Ranked


def has(each: Ranked, name: str) -> bool:
    """Whether a combination has a value of this knob; without one it stands for each."""
    return name in dict(each.values)


def at(each: Ranked, name: str, value: float) -> bool:
    """A combination without the knob stands for each of its values."""
    return dict(each.values).get(name, value) == value


def sign(name: str) -> str:
    """The knob as tables show it."""
    return next(knob.sign for knob in KNOBS if knob.name == name)


def values_of(each: Ranked) -> str:
    """`T 4  α 0.1`."""
    return "  ".join(f"{sign(name)} {value:.6g}" for name, value in each.values)


def words_of(each: Ranked) -> str:
    """The same with what was reached."""
    return f"{values_of(each)}: {each.value:.4f} ({each.low:.3f} – {each.high:.3f})"


def shares(found: Sequence[Ranked]) -> Callable[[float], float]:
    """Value → 0 … 1 between the worst and the best."""
    values = [each.value for each in found if each.value is not None] or [0.0]
    low, span = min(values), (max(values) - min(values)) or 1.0
    return lambda value: (value - low) / span
