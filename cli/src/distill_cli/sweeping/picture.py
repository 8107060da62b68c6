"""sweep.html: one file with a heat map of two knobs (or a dot for each combination of ranges) and the whole table.

Colours mix two of the page's own, so that light and dark need one drawing; style and page are those of the trainer's report.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from importlib.resources import files

from distill_cli.sweeping.knobs import KNOBS
from distill_cli.sweeping.ranking import Ranked, names_of

_MOST_CELLS = 12
_WIDTH, _HEIGHT, _EDGE, _RADIUS = 400, 290, 50, 7
_STYLE = """
.heat { width: auto; border-collapse: separate; border-spacing: 3px; }
.heat td, .heat th { text-align: center; padding: .65rem .8rem; border: 0; vertical-align: middle; }
.heat tbody th { text-align: right; white-space: nowrap; padding-left: 0; }
.heat td { background: color-mix(in oklab, var(--student) calc(var(--share) * 55%), var(--card)); border-radius: .45rem; box-shadow: inset 0 0 0 1px var(--line); }
.heat td small { color: var(--ink); }
.heat td.best { box-shadow: inset 0 0 0 2px var(--ink); font-weight: 600; }
.heat td.failed { background: none; color: var(--bad); }
.shades { display: flex; flex-wrap: wrap; align-items: center; gap: .2rem .6rem; color: var(--soft); font-size: .86rem; margin: 0 0 .8rem; }
.shades i { width: 7rem; height: .8rem; border-radius: .3rem; box-shadow: inset 0 0 0 1px var(--line);
  background: linear-gradient(to right in oklab, var(--card), color-mix(in oklab, var(--student) 55%, var(--card))); }
.mix { fill: color-mix(in oklab, var(--student) calc(var(--share) * 100%), var(--card)); stroke: var(--soft); }
.mix { stroke-opacity: .5; } .mix.near { stroke: var(--ink); stroke-opacity: 1; stroke-width: 1.5; } .mix.best { stroke: var(--ink); stroke-opacity: 1; stroke-width: 3.5; }
.dots { max-width: 40rem; }
@media (min-width: 34rem) { .ranks td { white-space: nowrap; } }
@media (max-width: 34rem) {
  .heat { border-spacing: 2px; } .heat td, .heat th { padding: .5rem .15rem; } .heat td { font-size: .8rem; }
  .heat td small { white-space: normal; line-height: 1.25; }
}
"""


def page(title: str, found: Sequence[Ranked], metric: str, lines: str, notes: Sequence[str]) -> str:
    """The whole page."""
    style = files("distill_trainer.report").joinpath("page.css").read_text(encoding="utf-8") + _STYLE
    best = found[0] if found[0].value is not None else None
    said = "".join(f"<p class='note'>{escape(note)}</p>" for note in notes)
    use = f"<section><h2>To use</h2><pre>spec:\n{escape(lines)}</pre></section>" if best else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{escape(title)}</title><style>{style}</style></head>'
        f"<body><main><header><p class='kicker'>{escape(title)} · {escape(metric)} on the validation split</p>"
        f"<h1>{_headline(best, found, metric)}</h1>{said}</header>{use}"
        f"<section><h2>What each combination reached</h2>{_picture(found)}</section>"
        f"<section><h2>All of them</h2>{_table(found, metric)}</section></main></body></html>\n"
    )


def _headline(best: Ranked | None, found: Sequence[Ranked], metric: str) -> str:
    if best is None or best.value is None:
        return "Every trial failed"
    values = ", ".join(f"{_sign(name)} = {value:.6g}" for name, value in best.values)
    near = sum(each.near for each in found)
    told = f"; {near} of {len(found) - 1} others cannot be told from it" if near else ""
    return f"{escape(values)} is best: {escape(metric)} {best.value:.4f}{told}"


def _picture(found: Sequence[Ranked]) -> str:
    names = names_of(found)
    values = {name: sorted({dict(each.values)[name] for each in found if _has(each, name)}) for name in names}
    axes = sorted(names, key=lambda name: -len(values[name]))[:2]
    if not all(_has(each, axes[-1]) for each in found):
        axes.reverse()  # what stands for every value of a knob stretches over columns
    x, y = axes[0], axes[-1]
    rest = [name for name in names if name not in axes and len(values[name]) > 1]
    note = (
        f"<p class='note'>Each place shows its best over {' and '.join(map(_sign, rest))}.</p>"
        if rest
        else ""
    )
    places = len(values[x]) * (len(values[y]) if x != y else 1)
    covered = sum(1 if _has(each, x) else len(values[x]) for each in found)
    draw = _heat if len(values[x]) <= _MOST_CELLS and places <= covered + covered // 2 else _dots
    return (
        _shades(found, "outlined" if draw is _dots else "≈") + draw(found, x, y, values[x], values[y]) + note
    )


def _shades(found: Sequence[Ranked], near: str) -> str:
    """What the colours mean, and how what is near the best is marked."""
    reached = [each.value for each in found if each.value is not None]
    if not reached:
        return ""
    return (
        f"<p class='shades'><span>worst {min(reached):.4f}</span><i></i><span>best {max(reached):.4f}, framed; "
        f"{near}: within its interval</span></p>"
    )


def _heat(found: Sequence[Ranked], x: str, y: str, columns: list[float], rows: list[float]) -> str:
    """A cell for each pair of values; `found` is sorted, so that the first that fits a cell is its best."""
    share = _shares(found)
    heads = "".join(f"<th scope='col'>{_sign(x)} {value:.6g}</th>" for value in columns)
    body = ""
    for row in rows if x != y else [0.0]:
        here = [each for each in found if x == y or _at(each, y, row)]
        shown = [next((each for each in here if _at(each, x, column)), None) for column in columns]
        if shown[0] is not None and not _has(shown[0], x) and all(each is shown[0] for each in shown):
            cells = _cell(shown[0], found, share, span=len(columns))
        else:
            cells = "".join(_cell(each, found, share) for each in shown)
        name = f"{_sign(y)} {row:.6g}" if x != y else ""
        body += f"<tr><th scope='row'>{name}</th>{cells}</tr>"
    return f"<div class='scroll' tabindex='0'><table class='heat'><thead><tr><th></th>{heads}</tr></thead><tbody>{body}</tbody></table></div>"


def _cell(
    each: Ranked | None, found: Sequence[Ranked], share: Callable[[float], float], *, span: int = 1
) -> str:
    if each is None:
        return "<td class='failed'></td>"
    if each.value is None:
        return f"<td class='failed' title='{escape(each.failed[0], quote=True)}'>failed</td>"
    best = " class='best'" if each is found[0] else ""
    wide = f" colspan='{span}'" if span > 1 else ""
    sign = "≈\u00a0" if each.near else ""
    return (
        f"<td{best}{wide} style='--share:{share(each.value):.3f}'>{sign}{each.value:.4f}"
        f"<small>{each.low:.3f} – {each.high:.3f}</small></td>"
    )


def _dots(found: Sequence[Ranked], x: str, y: str, columns: list[float], rows: list[float]) -> str:
    """A dot for each combination at its values; by the logarithm where that is how they were drawn."""
    share = _shares(found)
    across, up = _scale(x, columns, _EDGE, _WIDTH - 20), _scale(y, rows, _HEIGHT - _EDGE, 20)
    parts = [_axes(x, y, across, up, columns, rows)]
    for each in reversed([one for one in found if one.value is not None]):
        height = up(dict(each.values)[y]) if x != y else _HEIGHT / 2
        start, end = (across(value) for value in _ends(each, x, columns))
        mark = " best" if each is found[0] else " near" if each.near else ""
        parts.append(
            f"<rect class='mix{mark}' style='--share:{share(each.value or 0.0):.3f}' x='{start - _RADIUS:.1f}' "
            f"y='{height - _RADIUS:.1f}' width='{end - start + 2 * _RADIUS:.1f}' height='{2 * _RADIUS}' rx='{_RADIUS}'><title>{escape(_words(each))}</title></rect>"
        )
    label = f"{_sign(x)} from {columns[0]:.6g} to {columns[-1]:.6g}, and what was reached"
    return f"<svg class='dots' viewBox='0 0 {_WIDTH} {_HEIGHT}' role='img' aria-label='{label}'>{''.join(parts)}</svg>"


def _ends(each: Ranked, name: str, values: list[float]) -> tuple[float, float]:
    """A value, or all where the combination stands for them."""
    value = dict(each.values).get(name)
    return (values[0], values[-1]) if value is None else (value, value)


def _values(each: Ranked) -> str:
    return "  ".join(f"{_sign(name)} {value:.6g}" for name, value in each.values)


def _words(each: Ranked) -> str:
    return f"{_values(each)}: {each.value:.4f} ({each.low:.3f} – {each.high:.3f})"


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
    parts.append(f"<text x='{_WIDTH / 2}' y='{_HEIGHT - 8}' text-anchor='middle'>{_sign(x)} →</text>")
    if x != y:
        parts.append(f"<text x='4' y='{_HEIGHT / 2}'>{_sign(y)} ↑</text>")
    return "".join(parts)


def _table(found: Sequence[Ranked], metric: str) -> str:
    names = names_of(found)
    heads = "".join(
        f"<th scope='col'>{text}</th>" for text in ("", *map(_sign, names), metric, "interval", "seeds", "")
    )
    body = "".join(
        f"<tr><th scope='row'>{place}</th>{_row(each, names)}</tr>"
        for place, each in enumerate(found, start=1)
    )
    return f"<div class='scroll' tabindex='0'><table class='ranks'><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>{_failures(found)}"


def _failures(found: Sequence[Ranked]) -> str:
    """Why, below the table: reasons are sentences."""
    items = "".join(
        f"<li>{escape(_values(each))}: {escape(reason)}</li>" for each in found for reason in each.failed
    )
    return f"<ul>{items}</ul>" if items else ""


def _row(each: Ranked, names: Sequence[str]) -> str:
    values = dict(each.values)
    cells = [f"{values[name]:.6g}" if name in values else "any" for name in names]
    if each.value is None:
        cells += ["–", "", f"0 of {len(each.rows)}"]
    else:
        done = len(each.rows) - len(each.failed)
        spread = f": {each.worst:.4f} – {each.top:.4f}" if done > 1 else ""
        cells += [f"{each.value:.4f}", f"{each.low:.3f} – {each.high:.3f}", f"{done}{spread}"]
    cells.append("failed" if each.failed else "≈ best" if each.near else "")
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


def _has(each: Ranked, name: str) -> bool:
    return name in dict(each.values)


def _at(each: Ranked, name: str, value: float) -> bool:
    """A combination without the knob stands for each of its values."""
    return dict(each.values).get(name, value) == value


def _sign(name: str) -> str:
    return next(knob.sign for knob in KNOBS if knob.name == name)
