"""The interface of an encoding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from distill_trainer.losses.sparse import SparseTeacher

Tensors = Mapping[str, Tensor]
"""Stored tensors by name, each [R, …] with one entry a row."""
Decoded = Tensor | SparseTeacher
"""Logits [R, C], or what of them is known."""
BLOCK_ELEMENTS = 2**24
"""Logits that are worked on at once: softmax and sums over a vocabulary need copies, which would not fit for all."""


@dataclass(frozen=True)
class Rows:
    """What the teacher says of R rows. `logits` [R, C]; `hidden` [R, H] is what its last layer makes them of.

    `seeds` int64 [R] decides what chance decides: the same row has the same in every process.
    """

    logits: Tensor
    seeds: Tensor
    hidden: Tensor | None = None

    def blocks(self) -> Iterator[Rows]:
        """The same rows, not too many at once."""
        size = max(1, BLOCK_ELEMENTS // self.logits.shape[-1])
        for start in range(0, len(self.logits), size):
            part = slice(start, start + size)
            hidden = None if self.hidden is None else self.hidden[part]
            yield Rows(self.logits[part], self.seeds[part], hidden)


class Encoding(Protocol):
    """One way to store rows."""

    def encode(self, rows: Rows) -> dict[str, Tensor]:
        """The tensors that are stored, on the rows' device."""

    def decode(self, stored: Tensors) -> Decoded:
        """What the losses are given, on the device of `stored`."""


def in_blocks(rows: Rows, encode: Callable[[Rows], dict[str, Tensor]]) -> dict[str, Tensor]:
    """`encode` on each block, put together."""
    parts = [encode(block) for block in rows.blocks()]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
