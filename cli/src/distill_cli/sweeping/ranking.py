"""Which combination is best, by the validation split alone. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from distill_cli.sweeping.knobs import KNOBS
from distill_cli.sweeping.record import Row


@dataclass(frozen=True)
class Ranked:
    """A combination over its seeds: means of value and interval, and the lowest and highest seed.

    The interval is that of the bootstrap over validation samples, which all seeds have alike: it does not shrink with more
    of them. None where every seed failed; `failed` are their reasons.
    """

    values: tuple[tuple[str, float], ...]
    rows: tuple[Row, ...]
    value: float | None
    low: float = 0.0
    high: float = 0.0
    worst: float = 0.0
    top: float = 0.0
    failed: tuple[str, ...] = ()
    near: bool = False
    """Whether its value lies within the interval of the best one."""


def ranked(rows: Sequence[Row]) -> list[Ranked]:
    """The best first, failures last; in the order of the trials where values are equal."""
    groups: dict[tuple[tuple[str, float], ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row.values.items()), []).append(row)
    found = [_of_seeds(values, group) for values, group in groups.items()]
    found.sort(key=lambda each: (each.value is None, -(each.value or 0.0)))
    best = found[0] if found and found[0].value is not None else None
    if best is None:
        return found
    return [_near(each, best) for each in found]


def names_of(found: Sequence[Ranked]) -> list[str]:
    """The knobs that were turned, in their own order; a combination lacks one that is without effect beside its others."""
    turned = {name for each in found for name, _ in each.values}
    return [knob.name for knob in KNOBS if knob.name in turned]


def _of_seeds(values: tuple[tuple[str, float], ...], rows: Sequence[Row]) -> Ranked:
    figures = [row.validation for row in rows if row.validation is not None]
    failed = tuple(f"{row.reason}: {row.message}" for row in rows if row.validation is None)
    if not figures:
        return Ranked(values, tuple(rows), None, failed=failed)
    value, low, high = (_mean([each[name] for each in figures]) for name in ("value", "low", "high"))
    each_seed = [figure["value"] for figure in figures]
    return Ranked(values, tuple(rows), value, low, high, min(each_seed), max(each_seed), failed)


def _near(each: Ranked, best: Ranked) -> Ranked:
    within = each.value is not None and each is not best and each.value >= best.low
    return Ranked(**{**each.__dict__, "near": within})


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
