"""Learning curves and intervals as SVG. Colours are CSS classes, so that light and dark need one drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from distill_trainer.report.scale import Scale, ticks
from distill_trainer.report.words import escape, percent

_WIDTH, _HEIGHT = 380, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 10, 34


@dataclass(frozen=True)
class Line:
    """One curve: a value for each epoch; `style` is the CSS class of its stroke."""

    name: str
    style: str
    values: Sequence[float]


def curve_chart(
    title: str, lines: Sequence[Line], *, marked: int | None = None, as_percent: bool = False
) -> str:
    """A figure of curves over epochs 1 … N; `marked` is an epoch to be marked on the first curve."""
    values = [value for line in lines for value in line.values]
    marks = ticks(min(values), min(max(values), 1.0) if as_percent else max(values))
    y = Scale(marks[0], marks[-1], _HEIGHT - _BOTTOM, _TOP)
    epochs = len(lines[0].values)
    x = Scale(1, max(epochs, 2), _LEFT, _WIDTH - _RIGHT)
    parts = [_grid(marks, y, as_percent), _epochs_axis(epochs, x), *(_curve(line, x, y) for line in lines)]
    if marked:
        parts.append(_mark(marked, lines[0], x, y))
    legend = "".join(
        f'<span class="key"><i class="swatch {line.style}"></i>{escape(line.name)}</span>' for line in lines
    )
    svg = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'
    return f"<figure><figcaption>{escape(title)}</figcaption>{svg}<div class='legend'>{legend}</div></figure>"


def interval_chart(rows: Sequence[tuple[str, str, float, float, float]], label: str) -> str:
    """Dots with whiskers on one axis; a row is name, CSS class, value, low, high (shares of 1)."""
    low, high = min(row[3] for row in rows), max(row[4] for row in rows)
    marks = ticks(low, high, 5)
    height = 34 * len(rows) + 34
    x = Scale(marks[0], marks[-1], 70, _WIDTH - 24)
    parts = [
        f'<line class="grid" x1="{x(mark):.1f}" x2="{x(mark):.1f}" y1="4" y2="{height - 28}"/>'
        f'<text x="{x(mark):.1f}" y="{height - 12}" text-anchor="middle">{_number(mark, as_percent=True)}</text>'
        for mark in marks
    ]
    parts += [_whisker(row, 21 + 34 * index, x) for index, row in enumerate(rows)]
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )


def _whisker(row: tuple[str, str, float, float, float], y: float, x: Scale) -> str:
    name, style, value, low, high = row
    return (
        f'<text x="0" y="{y + 4}">{escape(name)}</text>'
        f'<line class="whisker {style}" x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{y}" y2="{y}"/>'
        f'<circle class="dot {style}" cx="{x(value):.1f}" cy="{y}" r="6">'
        f"<title>{escape(name)} {percent(value, 2)} ({percent(low, 2)} to {percent(high, 2)})</title></circle>"
    )


def _grid(marks: Sequence[float], y: Scale, as_percent: bool) -> str:  # noqa: FBT001
    return "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(mark):.1f}" y2="{y(mark):.1f}"/>'
        f'<text x="{_LEFT - 7}" y="{y(mark) + 4:.1f}" text-anchor="end">{_number(mark, as_percent=as_percent)}</text>'
        for mark in marks
    )


def _epochs_axis(epochs: int, x: Scale) -> str:
    shown = sorted({1, epochs, *(round(mark) for mark in ticks(1, epochs, 5) if 1 < mark < epochs * 0.95)})
    labels = "".join(
        f'<text x="{x(epoch):.1f}" y="{_HEIGHT - 17}" text-anchor="middle">{epoch}</text>' for epoch in shown
    )
    return f'{labels}<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 2}" text-anchor="middle">epoch</text>'


def _curve(line: Line, x: Scale, y: Scale) -> str:
    points = [(x(index + 1), y(value)) for index, value in enumerate(line.values)]
    if len(points) == 1:
        return f'<circle class="dot {line.style}" cx="{points[0][0]:.1f}" cy="{points[0][1]:.1f}" r="4"/>'
    path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
    return f'<polyline class="curve {line.style}" points="{path}"/>'


def _mark(epoch: int, line: Line, x: Scale, y: Scale) -> str:
    value = line.values[epoch - 1]
    return (
        f'<circle class="best {line.style}" cx="{x(epoch):.1f}" cy="{y(value):.1f}" r="5">'
        f"<title>best epoch {epoch}: {percent(value, 2)}</title></circle>"
    )


def _number(value: float, *, as_percent: bool) -> str:
    return f"{100 * value:g}%" if as_percent else f"{value:g}"
