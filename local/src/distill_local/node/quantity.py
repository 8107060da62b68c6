"""Kubernetes quantities ("500m", "2Gi") as numbers, for limits and `resourceFieldRef`."""

from __future__ import annotations

import re
from decimal import Decimal
from math import ceil

_FORM = re.compile(r"([+-]?\d+\.?\d*|[+-]?\.\d+)(m|k|[KMGTPE]i?|[eE][+-]?\d+)?")
_POWERS: dict[str, int] = {"k": 1, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}


def parse_quantity(text: str) -> Decimal:
    """Return the number that a quantity means; ValueError says what is wrong with it."""
    match = _FORM.fullmatch(str(text))
    if match is None:
        raise ValueError(f"{text!r} is not a Kubernetes quantity; write for example 4, 500m or 2Gi")
    number, suffix = Decimal(match[1]), match[2] or ""
    if suffix == "m":
        return number / 1000
    if suffix.endswith("i"):
        return number * Decimal(1024 ** _POWERS[suffix[0]])
    if suffix in _POWERS:
        return number * Decimal(1000 ** _POWERS[suffix])
    return number * Decimal(f"1{suffix}") if suffix else number


def divided(quantity: str, divisor: str) -> str:
    """Return quantity / divisor rounded up to a whole number, as the downward API prints it."""
    by = parse_quantity(divisor) or Decimal(1)  # the API writes an absent divisor as "0"
    return str(ceil(parse_quantity(quantity) / by))
