"""Sample ids as 16 bytes each, and which sample of a split has which; both are in files, so a million take no memory.

Used by the store, which knows samples by these digests alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distill_trainer import mapped
from distill_trainer.data.sample_ids import in_parts

ID_BYTES = 16
Digests = np.ndarray[Any, np.dtype[np.bytes_]]
"""[N] of 16 bytes."""
Numbers = np.ndarray[Any, np.dtype[np.int64]]


def id_digests(ids: Sequence[str]) -> Digests:
    """BLAKE2b of each id."""
    every = (hashlib.blake2b(text.encode(), digest_size=ID_BYTES).digest() for text in ids)
    return np.fromiter(every, dtype=f"S{ID_BYTES}", count=len(ids))


def as_tensor(digests: Digests) -> Tensor:
    """uint8 [N, 16], as a shard holds them; the same memory."""
    return torch.from_numpy(digests.view(np.uint8).reshape(-1, ID_BYTES))


def as_digests(tensor: Tensor) -> Digests:
    """Undo `as_tensor`."""
    return np.ascontiguousarray(tensor.numpy()).view(f"S{ID_BYTES}").reshape(-1)


def seeds(digests: Digests) -> Tensor:
    """int64 [N]: 8 bytes of each."""
    words = digests.view(np.int64).reshape(-1, 2)
    return torch.from_numpy(words[:, 0].copy())


class Places:
    """The samples of one split by their digests. Samples with the same id are one: `of` is int64 [N] → 0 … `count` − 1."""

    def __init__(self, ids: Sequence[str]) -> None:
        every = as_digests(mapped.written(as_tensor(id_digests(part)) for part in in_parts(ids)))
        self.of: Numbers = mapped.zeros((len(every),), torch.int64).numpy()
        known = as_digests(mapped.zeros((len(every), ID_BYTES), torch.uint8))
        order, count, last = np.argsort(every), 0, None
        for span in mapped.spans(len(every)):
            digests = every[order[span]]
            new = np.append(digests[0] != last, digests[1:] != digests[:-1])
            numbers = count - 1 + new.cumsum()
            self.of[order[span]] = numbers
            known[numbers] = digests
            count, last = int(numbers[-1]) + 1, digests[-1]
        self._known = known[:count]

    @property
    def count(self) -> int:
        """Different ids."""
        return len(self._known)

    def find(self, digests: Digests) -> tuple[Numbers, Numbers]:
        """Which of `digests` are of this split, and their numbers here: two int64 [M]."""
        near = np.searchsorted(self._known, digests).clip(max=max(self.count - 1, 0))
        ours = np.flatnonzero(self._known[near] == digests)
        return ours, near[ours]
