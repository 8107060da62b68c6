"""The order of samples: a pure function of seed and epoch, so that a resumed epoch goes on where it was."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batches:
    """`indices` int64 [N] that are cut when a batch is asked for: a view of each would take more than the indices.

    A last batch of a single sample joins the one before, since batch norm needs two values.
    """

    indices: Tensor
    size: int

    def __len__(self) -> int:
        return batch_count(len(self.indices), self.size)

    def __iter__(self) -> Iterator[Tensor]:
        return self.after(0)

    def after(self, done: int) -> Iterator[Tensor]:
        """Those that are left when so many are done."""
        count = len(self)
        for number in range(done, count):
            end = None if number == count - 1 else (number + 1) * self.size
            yield self.indices[number * self.size : end]


def epoch_batches(
    samples: int, batch_size: int, *, seed: int, epoch: int, taken: Tensor | None = None
) -> Batches:
    """Indices int64 of each batch of `epoch` (from 1), every sample once, shuffled; of `taken` [samples] where not all are."""
    order = shuffled(samples, seed=seed, epoch=epoch)
    return Batches(order if taken is None else taken[order], batch_size)


def shuffled(samples: int, *, seed: int, epoch: int) -> Tensor:
    """A permutation of 0 … samples−1; neighbouring seeds and epochs have nothing in common."""
    mixed = hashlib.sha256(f"{seed}/{epoch}".encode()).digest()[:7]
    generator = torch.Generator().manual_seed(int.from_bytes(mixed, "big"))
    return torch.randperm(samples, generator=generator)


def batch_count(samples: int, batch_size: int) -> int:
    """How many `Batches` there are of so many samples."""
    count = -(-samples // batch_size)
    return count - 1 if count > 1 and batch_size > 1 and samples % batch_size == 1 else count


def own_parts(indices: Tensor, cuts: int, *, smallest: int, rank: int, world: int) -> list[Tensor]:
    """The micro-batches of a step that process `rank` of `world` takes, the step cut into world · cuts parts.

    No part has fewer than `smallest` samples, so that a short last step is cut into fewer; a process may then have none.
    """
    sizes = part_sizes(len(indices), world * cuts, smallest)
    return list(torch.split(indices, sizes)[rank::world])


def part_sizes(samples: int, parts: int, smallest: int) -> list[int]:
    """Into how many samples each a step of `samples` is cut: even parts, the first ones larger by one."""
    count = max(1, min(parts, samples // smallest))
    whole, more = divmod(samples, count)
    return [whole + (part < more) for part in range(count)]
