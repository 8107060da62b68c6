"""sweep.html: one file with a heat map of two knobs (or a dot for each combination of ranges) and the whole table.

Colours mix two of the page's own, so that light and dark need one drawing; style and page are those of the trainer's report.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from importlib.resources import files

from distill_cli.sweeping.knobs import KNOBS
from distill_cli.sweeping.ranking import Ranked

_MOST_CELLS = 12
_WIDTH, _HEIGHT, _EDGE = 640, 380, 56
_STYLE = """
.heat td, .heat th { text-align: center; padding: .7rem .8rem; }
.heat td { background: color-mix(in oklab, var(--student) calc(var(--share) * 62%), var(--card)); border: 2px solid var(--card); border-radius: .5rem; }
.heat td.best { outline: 2px solid var(--ink); outline-offset: -2px; font-weight: 600; }
.heat td.failed { background: none; color: var(--bad); }
.dot-mix { fill: color-mix(in oklab, var(--student) calc(var(--share) * 100%), var(--line)); stroke: var(--soft); }
.dot-mix.best { stroke: var(--ink); stroke-width: 2.5; }
pre { background: var(--paper); padding: .8rem 1rem; border-radius: .6rem; overflow-x: auto; }
"""


def page(title: str, found: Sequence[Ranked], metric: str, lines: str, notes: Sequence[str]) -> str:
    """The whole page."""
    style = files("distill_trainer.report").joinpath("page.css").read_text(encoding="utf-8") + _STYLE
    best = next((each for each in found if each.value is not None), None)
    said = "".join(f"<p class='note'>{escape(note)}</p>" for note in notes)
    use = f"<section><h2>To use</h2><pre>spec:\n{escape(lines)}</pre></section>" if best else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{escape(title)}</title><style>{style}</style></head>'
        f"<body><main><header><p class='kicker'>Sweep · {escape(metric)} on the validation split</p><h1>{escape(title)}</h1>"
        f"{said}</header><section><h2>What each combination reached</h2>{_picture(found)}</section>{use}"
        f"<section><h2>All of them</h2>{_table(found, metric)}</section></main></body></html>\n"
    )


def _picture(found: Sequence[Ranked]) -> str:
    names = [name for name, _ in found[0].values]
    values = {name: sorted({dict(each.values)[name] for each in found}) for name in names}
    axes = sorted(names, key=lambda name: -len(values[name]))[:2]
    x, y = axes[0], axes[-1]
    rest = [name for name in names if name not in axes and len(values[name]) > 1]
    note = (
        f"<p class='note'>Each place shows its best over {' and '.join(map(_sign, rest))}.</p>"
        if rest
        else ""
    )
    whole = len(values[x]) * (len(values[y]) if x != y else 1)
    draw = _heat if len(values[x]) <= _MOST_CELLS and whole <= len(found) + len(found) // 2 else _dots
    return draw(found, x, y, values[x], values[y]) + note


def _heat(found: Sequence[Ranked], x: str, y: str, columns: list[float], rows: list[float]) -> str:
    """A cell for each pair of values; `found` is sorted, so that the first that fits a cell is its best."""
    share = _shares(found)
    heads = "".join(f"<th scope='col'>{_sign(x)} {value:.6g}</th>" for value in columns)
    body = ""
    for row in rows if x != y else [0.0]:
        cells = (
            _cell(
                next(
                    (each for each in found if _at(each, x, column) and (x == y or _at(each, y, row))), None
                ),
                found,
                share,
            )
            for column in columns
        )
        name = f"{_sign(y)} {row:.6g}" if x != y else ""
        body += f"<tr><th scope='row'>{name}</th>{''.join(cells)}</tr>"
    return f"<div class='scroll'><table class='heat'><thead><tr><th></th>{heads}</tr></thead><tbody>{body}</tbody></table></div>"


def _cell(each: Ranked | None, found: Sequence[Ranked], share: Callable[[float], float]) -> str:
    if each is None:
        return "<td class='failed'></td>"
    if each.value is None:
        return f"<td class='failed' title='{escape(each.failed[0], quote=True)}'>failed</td>"
    best = " class='best'" if each is found[0] else ""
    return (
        f"<td{best} style='--share:{share(each.value):.3f}'>{each.value:.4f}"
        f"<small>{each.low:.3f} – {each.high:.3f}</small></td>"
    )


def _dots(found: Sequence[Ranked], x: str, y: str, columns: list[float], rows: list[float]) -> str:
    """A dot for each combination at its values; by the logarithm where that is how they were drawn."""
    share = _shares(found)
    across, up = _scale(x, columns, _EDGE, _WIDTH - 20), _scale(y, rows, _HEIGHT - _EDGE, 20)
    parts = []
    for each in reversed([one for one in found if one.value is not None]):
        assert each.value is not None  # noqa: S101 - filtered above
        at, height = across(dict(each.values)[x]), up(dict(each.values)[y]) if x != y else _HEIGHT / 2
        said = "  ".join(f"{_sign(name)} {value:.6g}" for name, value in each.values)
        best = " best" if each is found[0] else ""
        parts.append(
            f"<circle class='dot-mix{best}' style='--share:{share(each.value):.3f}' cx='{at:.1f}' cy='{height:.1f}' r='9'>"
            f"<title>{escape(said)}: {each.value:.4f} ({each.low:.3f} – {each.high:.3f})</title></circle>"
        )
    parts += [
        f"<text x='{across(value):.1f}' y='{_HEIGHT - 30}' text-anchor='middle'>{value:.6g}</text>"
        for value in (columns[0], columns[-1])
    ]
    parts += [
        f"<text x='{_EDGE - 14}' y='{up(value) + 4:.1f}' text-anchor='end'>{value:.6g}</text>"
        for value in ((rows[0], rows[-1]) if x != y else ())
    ]
    parts.append(f"<text x='{_WIDTH / 2}' y='{_HEIGHT - 8}' text-anchor='middle'>{_sign(x)}</text>")
    if x != y:
        parts.append(f"<text x='10' y='{_HEIGHT / 2}'>{_sign(y)}</text>")
    return f"<svg viewBox='0 0 {_WIDTH} {_HEIGHT}' role='img' aria-label='values and what they reached'>{''.join(parts)}</svg>"


def _table(found: Sequence[Ranked], metric: str) -> str:
    names = [name for name, _ in found[0].values]
    heads = "".join(
        f"<th scope='col'>{text}</th>" for text in ("", *map(_sign, names), metric, "interval", "seeds", "")
    )
    body = "".join(
        f"<tr><th scope='row'>{place}</th>{_row(each)}</tr>" for place, each in enumerate(found, start=1)
    )
    return f"<div class='scroll'><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"


def _row(each: Ranked) -> str:
    cells = [f"{value:.6g}" for _, value in each.values]
    if each.value is None:
        cells += ["–", "", f"0 of {len(each.rows)}"]
    else:
        seeds = f"{len(each.rows) - len(each.failed)}: {each.worst:.4f} – {each.top:.4f}"
        cells += [f"{each.value:.4f}", f"{each.low:.3f} – {each.high:.3f}", seeds]
    cells.append(each.failed[0] if each.failed else "within the interval of the best" if each.near else "")
    return "".join(f"<td>{escape(cell)}</td>" for cell in cells)


def _shares(found: Sequence[Ranked]) -> Callable[[float], float]:
    """Value → 0 … 1 between the worst and the best."""
    values = [each.value for each in found if each.value is not None] or [0.0]
    low, span = min(values), (max(values) - min(values)) or 1.0
    return lambda value: (value - low) / span


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


def _at(each: Ranked, name: str, value: float) -> bool:
    return dict(each.values)[name] == value


def _sign(name: str) -> str:
    return next(knob.sign for knob in KNOBS if knob.name == name)
