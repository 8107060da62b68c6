"""Which samples belong to which part: cuts for data that comes as one piece, and `dataset.limit`.

Pure: labels and a seed in, row numbers out. The same seed draws the same rows on every machine, since the generator is
torch's on the CPU.
"""

from __future__ import annotations

import torch
from torch import Tensor

TEST_SHARE = 0.2
VALIDATION_SHARE = 0.1


def cut(labels: Tensor, share: float, *, seed: int) -> tuple[Tensor, Tensor]:
    """Cut `share` off, from each class alike: rows that stay and rows cut off, both int64 and sorted.

    `labels` is int64 [N]. Each class keeps at least one sample.
    """
    by_class = _shuffled_by_class(labels, seed)
    counts = proportional_shares([len(rows) for rows in by_class], share)
    taken = [rows[:count] for rows, count in zip(by_class, counts, strict=True)]
    off = torch.cat(taken).sort().values if taken else torch.empty(0, dtype=torch.int64)
    stays = torch.ones(len(labels), dtype=torch.bool)
    stays[off] = False
    return stays.nonzero().flatten(), off


def proportional_shares(available: list[int], share: float) -> list[int]:
    """`share` of each class in whole samples, by largest remainder, so that small classes add up to what is asked."""
    exact = [count * share for count in available]
    shares = [min(int(part), max(count - 1, 0)) for part, count in zip(exact, available, strict=True)]
    missing = round(sum(exact)) - sum(shares)
    by_remainder = sorted(range(len(available)), key=lambda index: int(exact[index]) - exact[index])
    for index in [index for index in by_remainder if shares[index] < available[index] - 1][: max(missing, 0)]:
        shares[index] += 1
    return shares


def limited(labels: Tensor, limit: int, *, seed: int) -> Tensor:
    """Rows (int64, sorted) of `limit` samples with as equal a count from each class as the classes allow."""
    if limit >= len(labels):
        return torch.arange(len(labels))
    by_class = _shuffled_by_class(labels, seed)
    counts = equal_shares([len(rows) for rows in by_class], limit)
    drawn = [rows[:count] for rows, count in zip(by_class, counts, strict=True)]
    return torch.cat(drawn).sort().values


def equal_shares(available: list[int], total: int) -> list[int]:
    """Share `total` out equally; what a small class cannot give, the others do. Needs total ≤ sum(available)."""
    shares = [0] * len(available)
    left = total
    while left:
        open_classes = [index for index, count in enumerate(available) if shares[index] < count]
        each = max(1, left // len(open_classes))
        for index in open_classes:
            extra = min(each, available[index] - shares[index], left)
            shares[index] += extra
            left -= extra
    return shares


def _shuffled_by_class(labels: Tensor, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    groups = ((labels == label).nonzero().flatten() for label in sorted(set(labels.tolist())))
    shuffled = [rows[torch.randperm(len(rows), generator=generator)] for rows in groups]
    # Where the count is not the same for all, the classes that get one more are drawn too.
    return [shuffled[index] for index in torch.randperm(len(shuffled), generator=generator).tolist()]
