"""The square root that distances are taken with."""

from __future__ import annotations

from torch import Tensor


def safe_root(square: Tensor) -> Tensor:
    """√x for x > 0; at 0 exactly 0 with gradient 0, where that of the plain root is infinite and ends as NaN."""
    positive = square > 0
    return square.where(positive, square.new_ones(())).sqrt().where(positive, square.new_zeros(()))
