"""The vectors of a whole step, for losses that compare its samples: see `losses.whole_step`. Called by `run`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from distill_trainer.losses import Combined
from distill_trainer.losses.whole_step import ComparingTerm
from distill_trainer.order import part_sizes
from distill_trainer.ranks import Ranks


def compare_whole_steps(objectives: Iterable[Combined], ranks: Ranks, *, cuts: int, smallest: int) -> None:
    """Let their terms compare the samples of all processes; where each of these cuts its own, parts are compared as ever.

    A process works its parts off one after the other: what the next ones give is not known yet.
    """
    if ranks.world == 1 or cuts > 1:
        return
    for objective in objectives:
        for term in objective.terms:
            if isinstance(term, ComparingTerm):
                term.gather = partial(gathered, ranks, smallest)


def gathered(ranks: Ranks, smallest: int, vectors: Tensor, samples: int) -> Tensor:
    """See `losses.whole_step.Gather`. A process that the step has no part for, and that idles along, gets its own back."""
    sizes = part_sizes(samples, ranks.world, smallest)
    if len(sizes) == 1 or ranks.rank >= len(sizes):
        return vectors
    padded = F.pad(vectors.detach(), (0, 0, 0, sizes[0] - len(vectors)))
    found = ranks.all_of(padded, len(sizes))
    parts = [each[:size] for each, size in zip(found, sizes, strict=True)]
    parts[ranks.rank] = vectors
    return torch.cat(parts)
