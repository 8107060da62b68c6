"""Which output of a model is which class of the data, where the model names its outputs. Pure.

A model's outputs are brought into the data's order by name: whoever sorted folders as text and whoever counted them, the
same class is the same column for teacher, student and labels. Called by the models that have names, and by the check.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_PLACEHOLDER = re.compile(r"LABEL_\d+")
_SHOWN = 20


@dataclass(frozen=True)
class ClassOrder:
    """`order[i]` is the output that means class i of the data; None where output i does, known or assumed.

    `fault` says what contradicts the data's order; `said` is told to the user. Both empty where all is plain.
    """

    order: tuple[int, ...] | None = None
    named: bool = False
    said: str = ""
    fault: str = ""


def class_order(own: Sequence[str] | None, classes: Sequence[str]) -> ClassOrder:
    """Compare the names of a model's outputs with the data's classes; upper case, - and _ make no difference."""
    wanted = _order_said(classes)
    if not own or all(_PLACEHOLDER.fullmatch(name) for name in own):
        return ClassOrder(
            said=f"does not name its classes: its outputs are taken in the data's order, {wanted}"
        )
    mine, theirs = _comparable(own, classes)
    if set(mine) == set(theirs) and len(set(mine)) == len(mine):
        order = tuple(mine.index(name) for name in theirs)
        if order == tuple(range(len(order))):
            return ClassOrder(named=True)
        return ClassOrder(
            order,
            named=True,
            said=f"has its classes in another order: its outputs are put in the data's, {wanted}",
        )
    moved = [name for name in theirs if name in mine and mine.index(name) != theirs.index(name)]
    if moved:
        place = theirs.index(moved[0])
        return ClassOrder(
            fault=f"has the class {classes[place]!r} as output {mine.index(moved[0])}, the data as number {place}, and they do "
            "not name the same classes, so that no order is certain"
        )
    shown = ", ".join(own[:3]) + (" …" if len(own) > 3 else "")
    return ClassOrder(
        said=f"names its classes otherwise ({shown}): its outputs are taken in the data's order, {wanted}"
    )


def _comparable(own: Sequence[str], classes: Sequence[str]) -> tuple[list[str], list[str]]:
    """Both without what makes no difference, unless that makes two classes one."""
    plain = [[re.sub(r"[\s_-]+", " ", name.casefold()).strip() for name in names] for names in (own, classes)]
    if all(len(set(names)) == len(names) for names in plain):
        return plain[0], plain[1]
    return list(own), list(classes)


def _order_said(classes: Sequence[str]) -> str:
    return ", ".join(classes[:_SHOWN]) + (f", … ({len(classes)} in all)" if len(classes) > _SHOWN else "")
