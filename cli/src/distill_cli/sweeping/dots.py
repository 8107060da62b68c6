"""A dot for each combination, where values are drawn from ranges."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from distill_cli.sweeping.knobs import KNOBS
from distill_cli.sweeping.places import shares, sign, words_of
from distill_cli.sweeping.ranking import Ranked

_WIDTH, _HEIGHT, _EDGE, _RADIUS = 400, 290, 50, 7


def dots(found: Sequence[Ranked], x: str, y: str, columns: list[float], rows: list[float]) -> str:
    """A dot for each combination at its values; by the logarithm where that is how they were drawn."""
    share = shares(found)
    across, up = _scale(x, columns, _EDGE, _WIDTH - 20), _scale(y, rows, _HEIGHT - _EDGE, 20)
    parts = [_axes(x, y, across, up, columns, rows)]
    for each in reversed([one for one in found if one.value is not None]):
        height = up(dict(each.values)[y]) if x != y else _HEIGHT / 2
        start, end = (across(value) for value in _ends(each, x, columns))
        mark = " best" if each is found[0] else " near" if each.near else ""
        parts.append(
            f"<rect class='mix{mark}' style='--share:{share(each.value or 0.0):.3f}' x='{start - _RADIUS:.1f}' "
            f"y='{height - _RADIUS:.1f}' width='{end - start + 2 * _RADIUS:.1f}' height='{2 * _RADIUS}' rx='{_RADIUS}'><title>{escape(words_of(each))}</title></rect>"
        )
    label = f"{sign(x)} from {columns[0]:.6g} to {columns[-1]:.6g}, and what was reached"
    return f"<svg class='dots' viewBox='0 0 {_WIDTH} {_HEIGHT}' role='img' aria-label='{label}'>{''.join(parts)}</svg>"


def _ends(each: Ranked, name: str, values: list[float]) -> tuple[float, float]:
    """A value, or all where the combination stands for them."""
    value = dict(each.values).get(name)
    return (values[0], values[-1]) if value is None else (value, value)


def _axes(
    x: str,
    y: str,
    across: Callable[[float], float],
    up: Callable[[float], float],
    columns: list[float],
    rows: list[float],
) -> str:
    """Lines with the ends of both knobs, and their names."""
    parts = [
        f"<text x='{across(value):.1f}' y='{_HEIGHT - 30}' text-anchor='middle'>{value:.6g}</text>"
        for value in dict.fromkeys((columns[0], columns[-1]))
    ]
    parts += [
        f"<text x='{_EDGE - 18}' y='{up(value) + 4:.1f}' text-anchor='end'>{value:.6g}</text>"
        f"<line class='grid' x1='{_EDGE - 12}' x2='{_WIDTH - 8}' y1='{up(value):.1f}' y2='{up(value):.1f}'/>"
        for value in dict.fromkeys((rows[0], rows[-1]) if x != y else ())
    ]
    parts.append(f"<text x='{_WIDTH / 2}' y='{_HEIGHT - 8}' text-anchor='middle'>{sign(x)} →</text>")
    if x != y:
        parts.append(f"<text x='4' y='{_HEIGHT / 2}'>{sign(y)} ↑</text>")
    return "".join(parts)


def _scale(name: str, values: list[float], start: float, end: float) -> Callable[[float], float]:
    knob = next(knob for knob in KNOBS if knob.name == name)
    positive = knob.logarithmic and values[0] > 0

    def place(value: float) -> float:
        low, high = values[0], values[-1]
        if low == high:
            return (start + end) / 2
        share = (math.log(value / low) / math.log(high / low)) if positive else (value - low) / (high - low)
        return start + share * (end - start)

    return place
