"""Learning curves as SVG. Colours are CSS classes, so that light and dark need one drawing; dashes tell lines apart without them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from distill_trainer.report.scale import Scale, domain, round_number, shared_power, ticks
from distill_trainer.report.words import cut, escape

_WIDTH, _HEIGHT = 380, 258
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 34, 34
_LONGEST_NAME = 24


@dataclass(frozen=True)
class Line:
    """One curve: a value for each epoch; `style` is the CSS class of its stroke."""

    name: str
    style: str
    values: Sequence[float]


def curve_chart(
    title: str,
    lines: Sequence[Line],
    *,
    axis: str,
    marked: int | None = None,
    as_percent: bool = False,
    borders: Sequence[tuple[int, str]] = (),
) -> str:
    """A figure of curves over epochs 1 … N, `axis` what their values are.

    `marked` is an epoch to be marked on the first curve, `borders` the last epoch before something of that name begins.
    """
    marks = ticks(*domain([value for line in lines for value in line.values], 1.0 if as_percent else None), 4)
    y = Scale(marks[0], marks[-1], _HEIGHT - _BOTTOM, _TOP)
    epochs = len(lines[0].values)
    x = Scale(1, max(epochs, 2), _LEFT, _WIDTH - _RIGHT)
    parts = [
        _grid(marks, y, axis, as_percent=as_percent),
        _epochs_axis(epochs, x),
        *(_border(epoch, name, x) for epoch, name in borders),
        *(_curve(line, x, y) for line in lines),
    ]
    if marked:
        parts.append(_mark(marked, lines[0], x, y))
    return (
        f"<figure><figcaption>{escape(title)}</figcaption><svg viewBox='0 0 {_WIDTH} {_HEIGHT}' role='img' "
        f"aria-label='{escape(title)}'><desc>{escape(_told(lines, marked, as_percent=as_percent))}</desc>"
        f"{''.join(parts)}</svg>{_legend(lines, marked, axis)}</figure>"
    )


def _told(lines: Sequence[Line], marked: int | None, *, as_percent: bool) -> str:
    """The picture in words, for whoever does not see it."""

    def number(value: float) -> str:
        return f"{100 * value:.4g} %" if as_percent else f"{value:.4g}"

    epochs = len(lines[0].values)
    told = [
        f"{line.name}: from {number(line.values[0])} in epoch 1 to {number(line.values[-1])} in epoch {epochs}"
        for line in lines
    ]
    if marked:
        told.append(f"best: {number(lines[0].values[marked - 1])} in epoch {marked}")
    return "; ".join(told)


def _legend(lines: Sequence[Line], marked: int | None, axis: str) -> str:
    """What the lines are; a single one that is what the axis says needs none."""
    if [line.name for line in lines] == [axis]:
        return ""
    keys = "".join(
        f'<span class="key"><i class="swatch {line.style}"></i>{escape(line.name)}</span>' for line in lines
    )
    ring = (
        f'<span class="key"><i class="ring {lines[0].style}"></i>epoch {marked}, kept</span>'
        if marked
        else ""
    )
    return f"<div class='legend'>{keys}{ring}</div>"


def _grid(marks: Sequence[float], y: Scale, axis: str, *, as_percent: bool) -> str:
    power, factor = shared_power(marks)
    named = f"{axis} {power}".strip()
    return f"<text x='0' y='10' class='axis'>{escape(named)}</text>" + "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(mark):.1f}" y2="{y(mark):.1f}"/>'
        f'<text x="{_LEFT - 7}" y="{y(mark) + 4:.1f}" text-anchor="end">{round_number(mark / factor, as_percent=as_percent)}</text>'
        for mark in marks
    )


def _epochs_axis(epochs: int, x: Scale) -> str:
    shown = sorted({1, epochs, *(round(mark) for mark in ticks(1, epochs, 5) if 1 < mark < epochs * 0.95)})
    labels = "".join(
        f'<text x="{x(epoch):.1f}" y="{_HEIGHT - 17}" text-anchor="middle">{epoch}</text>' for epoch in shown
    )
    return f'{labels}<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 2}" text-anchor="middle">epoch</text>'


def _border(epoch: int, name: str, x: Scale) -> str:
    """Between two epochs, with the name of what begins; written to the side that has room."""
    place = x(epoch + 0.5)
    anchor, text = ("start", place + 4) if place < _WIDTH / 2 else ("end", place - 4)
    return (
        f'<line class="border" x1="{place:.1f}" x2="{place:.1f}" y1="{_TOP - 18}" y2="{_HEIGHT - _BOTTOM}"/>'
        f'<text x="{text:.1f}" y="{_TOP - 9}" text-anchor="{anchor}">{cut(name, _LONGEST_NAME)} →</text>'
    )


def _curve(line: Line, x: Scale, y: Scale) -> str:
    points = [(x(index + 1), y(value)) for index, value in enumerate(line.values)]
    if len(points) == 1:
        return f'<circle class="dot {line.style}" cx="{points[0][0]:.1f}" cy="{points[0][1]:.1f}" r="4"/>'
    path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
    return f'<polyline class="curve {line.style}" points="{path}"/>'


def _mark(epoch: int, line: Line, x: Scale, y: Scale) -> str:
    value = line.values[epoch - 1]
    return f'<circle class="best {line.style}" cx="{x(epoch):.1f}" cy="{y(value):.1f}" r="5"/>'
