"""Kubernetes quantities, compared by value: an API server or a webhook may write 1024Mi as 1Gi."""

from __future__ import annotations

import re
from decimal import Decimal

_SUFFIX = {"": Decimal(1), "m": Decimal("0.001")}
_SUFFIX |= {letter: Decimal(1000**power) for power, letter in enumerate("kMGT", start=1)}
_SUFFIX |= {f"{letter}i": Decimal(1024**power) for power, letter in enumerate("KMGT", start=1)}


def same_quantity(one: str, other: str) -> bool:
    """Whether both mean the same amount; texts that are no quantities are compared as they are."""
    first, second = amount(one), amount(other)
    return one == other if first is None or second is None else first == second


def amount(text: str) -> Decimal | None:
    """The number that a quantity means, or None where it is none."""
    match = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", text)
    if match is None or match[2] not in _SUFFIX:
        return None
    return Decimal(match[1]) * _SUFFIX[match[2]]
