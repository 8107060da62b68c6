"""Values with their intervals as SVG: dots with whiskers on one axis."""

from __future__ import annotations

from collections.abc import Sequence

from distill_trainer.report.scale import Scale, domain, round_number, ticks
from distill_trainer.report.words import escape

_WIDTH, _LEFT, _RIGHT, _ROW = 380, 70, 24, 30
Row = tuple[str, str, float, float, float]
"""Name, CSS class, value, low, high."""


def interval_chart(rows: Sequence[Row], label: str, *, as_percent: bool) -> str:
    """A row a line; `label` is what the axis shows."""
    ends = [end for row in rows for end in row[3:]]
    marks = ticks(*domain(ends, 1.0), 5)
    height = _ROW * len(rows) + 48
    x = Scale(marks[0], marks[-1], _LEFT, _WIDTH - _RIGHT)
    parts = [
        f'<line class="grid" x1="{x(mark):.1f}" x2="{x(mark):.1f}" y1="4" y2="{height - 42}"/>'
        f'<text x="{x(mark):.1f}" y="{height - 26}" text-anchor="middle">{round_number(mark, as_percent=as_percent)}</text>'
        for mark in marks
    ]
    parts += [_whisker(row, 19 + _ROW * index, x) for index, row in enumerate(rows)]
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{height - 5}" text-anchor="middle">{escape(label)}</text>')
    told = "; ".join(f"{name} {value:.4f}, {low:.4f} to {high:.4f}" for name, _, value, low, high in rows)
    return (
        f"<svg viewBox='0 0 {_WIDTH} {height}' role='img' aria-label='{escape(label)}'><desc>{escape(told)}</desc>"
        f"{''.join(parts)}</svg>"
    )


def _whisker(row: Row, y: float, x: Scale) -> str:
    name, style, value, low, high = row
    return (
        f'<text x="0" y="{y + 4}">{escape(name)}</text>'
        f'<line class="whisker {style}" x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{y}" y2="{y}"/>'
        f'<circle class="dot {style}" cx="{x(value):.1f}" cy="{y}" r="6"/>'
    )
