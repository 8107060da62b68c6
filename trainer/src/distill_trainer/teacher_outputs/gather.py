"""From places in shards to the tensors of a batch. Pure; runs for every batch, so the work is a few calls a shard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distill_trainer.teacher_outputs.shard import Shard

Ints = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Found:
    """Outputs of B samples: `counts` int64 [B] rows of each, `rows` [sum of counts, …], `layers` [B, …]."""

    counts: Tensor
    rows: Mapping[str, Tensor]
    layers: Mapping[str, Tensor]


def gather(shards: Sequence[Shard], which: Ints, at: Ints) -> Found:
    """Sample b is number `at[b]` of shard `which[b]`."""
    if len(shards) == 1:
        return _from_one(shards[0], torch.from_numpy(at))
    order = np.argsort(which, kind="stable")
    sorted_which, sorted_at = which[order], torch.from_numpy(at[order])
    cuts = [0, *(np.flatnonzero(np.diff(sorted_which)) + 1).tolist(), len(order)]
    parts = [
        _from_one(shards[int(sorted_which[first])], sorted_at[first:last]) for first, last in pairwise(cuts)
    ]
    if len(parts) == 1:
        return parts[0]
    back = torch.from_numpy(np.argsort(order))
    counts = torch.cat([part.counts for part in parts])
    whole = all(shards[int(number)].one_row_each for number in sorted_which[cuts[:-1]])
    row_back = back if whole else _ranges(_before(counts)[back], counts[back])
    return Found(
        counts[back],
        {name: torch.cat([part.rows[name] for part in parts])[row_back] for name in parts[0].rows},
        {name: torch.cat([part.layers[name] for part in parts])[back] for name in parts[0].layers},
    )


def _from_one(shard: Shard, at: Tensor) -> Found:
    if shard.one_row_each:
        counts, rows = torch.ones(len(at), dtype=torch.int64), at
    else:
        starts = shard.starts[at]
        counts = shard.starts[at + 1] - starts
        rows = _ranges(starts, counts)
    return Found(
        counts,
        {name: tensor.index_select(0, rows) for name, tensor in shard.rows.items()},
        {name: tensor.index_select(0, at) for name, tensor in shard.layers.items()},
    )


def _ranges(starts: Tensor, counts: Tensor) -> Tensor:
    """starts[0] … starts[0] + counts[0] − 1, then those of the second, and so on."""
    total = int(counts.sum())
    return torch.arange(total) + (starts - _before(counts)).repeat_interleave(counts, output_size=total)


def _before(counts: Tensor) -> Tensor:
    return counts.cumsum(0) - counts
