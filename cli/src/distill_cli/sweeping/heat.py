"""A table with a shaded cell for each pair of values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from distill_cli.sweeping.places import at, has, shares, sign
from distill_cli.sweeping.ranking import Ranked


def heat(found: Sequence[Ranked], x: str, y: str, columns: list[float], rows: list[float]) -> str:
    """A cell for each pair of values; `found` is sorted, so that the first that fits a cell is its best."""
    share = shares(found)
    heads = "".join(f"<th scope='col'>{sign(x)} {value:.6g}</th>" for value in columns)
    body = ""
    for row in rows if x != y else [0.0]:
        here = [each for each in found if x == y or at(each, y, row)]
        shown = [next((each for each in here if at(each, x, column)), None) for column in columns]
        if shown[0] is not None and not has(shown[0], x) and all(each is shown[0] for each in shown):
            cells = _cell(shown[0], found, share, span=len(columns))
        else:
            cells = "".join(_cell(each, found, share) for each in shown)
        name = f"{sign(y)} {row:.6g}" if x != y else ""
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
    mark = "≈\u00a0" if each.near else ""
    return (
        f"<td{best}{wide} style='--share:{share(each.value):.3f}'>{mark}{each.value:.4f}"
        f"<small>{each.low:.3f} – {each.high:.3f}</small></td>"
    )
