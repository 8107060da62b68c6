"""The confusion matrix as SVG, and the confusions that occur most as a list."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distill_trainer.report.words import cut, escape, percent

_CELL, _MARGIN_LEFT = 30, 70
DRAWN_UP_TO = 40
_NUMBERED_UP_TO = 20
_LISTED = 5
_DARK = 0.75
"""The share from which a cell is dark enough for the page's own colour as its text."""


def confusion_matrix(counts: NDArray[np.int64], classes: tuple[str, ...]) -> str:
    """Rows are labels, columns the student's predictions; the shade is the share of the row. Counts [C, C]."""
    if len(classes) > DRAWN_UP_TO:
        return f"<p class='note'>With {len(classes)} classes the matrix is left to result.json.</p>"
    side = _CELL * len(classes)
    slanted = any(len(name) > 3 for name in classes)
    top = 80 if slanted else 44
    width, height = _MARGIN_LEFT + side + (36 if slanted else 2), top + side + 2
    rows = "".join(_row(index, counts[index], classes, top) for index in range(len(classes)))
    heads = "".join(_column_head(index, name, top) for index, name in enumerate(classes))
    return (
        f'<div class="scroll" tabindex="0"><svg class="matrix" style="max-width:{min(width * 1.3, 640):.0f}px;'
        f'min-width:{width * 0.6:.0f}px" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="confusion matrix of the student"><desc>{_told(counts, classes)}</desc>'
        f'<text x="{_MARGIN_LEFT}" y="11" class="axis">predicted by the student →</text>'
        f'<text x="0" y="{top - 8}" class="axis">label ↓</text>{heads}{rows}</svg></div>'
    )


def worst_confusions(counts: NDArray[np.int64], classes: tuple[str, ...]) -> str:
    """The most frequent mistakes, in words."""
    mistakes = counts * (1 - np.eye(len(classes), dtype=np.int64))
    order = np.argsort(mistakes, axis=None, kind="stable")[::-1][:_LISTED]
    items = [
        f"<li><b>{escape(classes[label])}</b> taken for <b>{escape(classes[other])}</b>: {mistakes[label, other]} of "
        f"{counts[label].sum()} ({percent(mistakes[label, other] / counts[label].sum())})</li>"
        for label, other in zip(*np.unravel_index(order, mistakes.shape), strict=True)
        if mistakes[label, other]
    ]
    return f"<ul>{''.join(items)}</ul>" if items else "<p class='note'>No mistake on the test split.</p>"


def _told(counts: NDArray[np.int64], classes: tuple[str, ...]) -> str:
    right, total = int(np.trace(counts)), int(counts.sum())
    return f"{right} of {total} are right, over {len(classes)} classes; the list of mistakes says which are wrong"


def _short(count: int) -> str:
    """Four characters at most: 1234 → `1.2k`."""
    if count < 1000:
        return str(count)
    return f"{count / 1000:.1f}k" if count < 9950 else f"{count / 1000:.0f}k"


def _row(index: int, counts: NDArray[np.int64], classes: tuple[str, ...], top: int) -> str:
    y = top + _CELL * index
    total = max(int(counts.sum()), 1)
    head = f'<text x="{_MARGIN_LEFT - 7}" y="{y + 19}" text-anchor="end">{cut(classes[index], 9)}</text>'
    return head + "".join(
        _cell(
            _MARGIN_LEFT + _CELL * column,
            y,
            int(count),
            total,
            (classes[index], classes[column], index == column),
            len(classes),
        )
        for column, count in enumerate(counts)
    )


def _cell(x: int, y: int, count: int, total: int, names: tuple[str, str, bool], classes: int) -> str:
    label, predicted, right = names
    share = count / total
    number = (
        f'<text x="{x + 15}" y="{y + 19}" text-anchor="middle" class="{"strong" if share > _DARK else "faint"}">{_short(count)}</text>'
        if count and classes <= _NUMBERED_UP_TO
        else ""
    )
    shade = 0.04 if not count else 0.12 + 0.88 * share
    return (
        f'<g><rect class="{"right" if right else "wrong"}" x="{x + 1}" y="{y + 1}" width="28" height="28" rx="3" '
        f'fill-opacity="{shade:.3f}"/>{number}<title>{escape(label)} → {escape(predicted)}: {count}</title></g>'
    )


def _column_head(index: int, name: str, top: int) -> str:
    x = _MARGIN_LEFT + _CELL * index + 15
    if len(name) <= 3:
        return f'<text x="{x}" y="{top - 8}" text-anchor="middle">{cut(name, 3)}</text>'
    return f'<text x="{x}" y="{top - 8}" transform="rotate(-45 {x} {top - 8})">{cut(name, 9)}</text>'
