"""sweep.html: one file with a heat map of two knobs (or a dot for each combination of ranges) and the whole table.

Colours mix two of the page's own, so that light and dark need one drawing; style and page are those of the trainer's report.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files

from distill_cli.sweeping.dots import dots
from distill_cli.sweeping.heat import heat
from distill_cli.sweeping.places import has, sign, values_of
from distill_cli.sweeping.ranking import Ranked, names_of

_MOST_CELLS = 12


def page(title: str, found: Sequence[Ranked], metric: str, lines: str, notes: Sequence[str]) -> str:
    """The whole page."""
    style = "".join(
        files(package).joinpath(file).read_text(encoding="utf-8")
        for package, file in (("distill_trainer.report", "page.css"), (__package__, "picture.css"))
    )
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
    values = ", ".join(f"{sign(name)} = {value:.6g}" for name, value in best.values)
    near = sum(each.near for each in found)
    told = f"; {near} of {len(found) - 1} others cannot be told from it" if near else ""
    return f"{escape(values)} is best: {escape(metric)} {best.value:.4f}{told}"


def _picture(found: Sequence[Ranked]) -> str:
    names = names_of(found)
    values = {name: sorted({dict(each.values)[name] for each in found if has(each, name)}) for name in names}
    axes = sorted(names, key=lambda name: -len(values[name]))[:2]
    if not all(has(each, axes[-1]) for each in found):
        axes.reverse()  # what stands for every value of a knob stretches over columns
    x, y = axes[0], axes[-1]
    rest = [name for name in names if name not in axes and len(values[name]) > 1]
    note = (
        f"<p class='note'>Each place shows its best over {' and '.join(map(sign, rest))}.</p>" if rest else ""
    )
    places = len(values[x]) * (len(values[y]) if x != y else 1)
    covered = sum(1 if has(each, x) else len(values[x]) for each in found)
    draw = heat if len(values[x]) <= _MOST_CELLS and places <= covered + covered // 2 else dots
    return (
        _shades(found, "outlined" if draw is dots else "≈") + draw(found, x, y, values[x], values[y]) + note
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


def _table(found: Sequence[Ranked], metric: str) -> str:
    names = names_of(found)
    heads = "".join(
        f"<th scope='col'>{text}</th>" for text in ("", *map(sign, names), metric, "interval", "seeds", "")
    )
    body = "".join(
        f"<tr><th scope='row'>{place}</th>{_row(each, names)}</tr>"
        for place, each in enumerate(found, start=1)
    )
    return f"<div class='scroll' tabindex='0'><table class='ranks'><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>{_failures(found)}"


def _failures(found: Sequence[Ranked]) -> str:
    """Why, below the table: reasons are sentences."""
    items = "".join(
        f"<li>{escape(values_of(each))}: {escape(reason)}</li>" for each in found for reason in each.failed
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
