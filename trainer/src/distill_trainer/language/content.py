"""Batches of a language model: documents as they are, or packed into blocks of one length without any padding.

A sample of n tokens gives n − 1 positions: input t is token t, its label token t + 1. The shift is made here, once;
losses and metrics know labels and a mask alone. Called by the task CausalLM.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distill_trainer.batch import Samples
from distill_trainer.data.dataset import Passage, SourceSplit
from distill_trainer.data.sample_ids import NumberedIds
from distill_trainer.data.tables import Table, row_ids
from distill_trainer.language.encoded import Encoder
from distill_trainer.language.spool import Spool, spool


class LanguageContent:
    """The samples of one split, each at most `max_tokens` positions long; encoded when first asked for."""

    def __init__(
        self,
        cell: Callable[[int], Any],
        rows: int,
        encoder: Encoder,
        field: str,
        max_tokens: int,
        *,
        packing: bool,
        words: Callable[[int], str],
    ) -> None:
        self._cell, self._rows, self._encoder, self._field = cell, rows, encoder, field
        self._max_tokens, self._packing, self._words = max_tokens, packing, words

    def __len__(self) -> int:
        """Documents, or blocks where they are packed."""
        return -(-max(len(self._spool.ids) - 1, 1) // self._max_tokens) if self._packing else self._rows

    def read(self, rows: Tensor) -> Samples:
        """`input_ids` and `attention_mask` int64 [B, L] with labels and mask [B, L], padded on the right."""
        return collated([self._sample(row) for row in rows.tolist()])

    def shown(self, row: int) -> Passage:
        """The tokens as people read them, and which of them are predicted."""
        ids, trained = self._sample(row)
        predicted = np.flatnonzero(trained[1:]) + 1
        return Passage(tuple(map(self._words, ids.tolist())), tuple(predicted.tolist()))

    def digest(self) -> str:
        """Digest of every token, of what counts, and of how documents are cut."""
        how = f"{self._spool.digest}\0{self._max_tokens}\0{self._packing}"
        return hashlib.sha256(how.encode()).hexdigest()

    def says(self) -> str:
        """How much there is, and what is left out."""
        made = self._spool
        said = f"{self._rows:,} documents with {len(made.ids):,} tokens, {made.counted:,} of them learnt"
        if self._packing:
            return f"{said}, in {len(self):,} samples; within one a document sees those before it"
        over = made.lengths[made.lengths > self._most] - self._most
        lost = f"; {len(over):,} are cut at dataset.maxTokens, which leaves out {over.sum():,} tokens"
        silent = f"; {made.silent:,} have no token to learn"
        return said + (lost if len(over) else "") + (silent if made.silent else "")

    @property
    def _most(self) -> int:
        """Tokens of a sample: the last is a label alone."""
        return self._max_tokens + 1

    def _sample(self, row: int) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Blocks share a token with their neighbour: a label there, an input here."""
        made = self._spool
        first, end = row * self._max_tokens, len(made.ids)
        if not self._packing:
            first, end = made.starts[row : row + 2].tolist()
        piece = slice(first, min(end, first + self._most))
        return made.ids[piece], made.trained[piece]

    @functools.cached_property
    def _spool(self) -> Spool:
        cut = None if self._packing else self._most
        return spool(self._cell, self._rows, self._encoder, self._field, cut=cut)


def source_splits(
    splits: dict[str, tuple[Table, LanguageContent]], *, packing: bool
) -> dict[str, SourceSplit]:
    """Sources of each split; blocks have names of their own, so that no store takes them for documents."""
    found = {}
    for split, (table, content) in splits.items():
        ids = NumberedIds(f"{split}/block-", len(content)) if packing else row_ids(split, table)
        found[split] = SourceSplit(ids, torch.zeros(len(ids), dtype=torch.int64), content)
    return found


def collated(samples: Sequence[tuple[NDArray[np.int32], NDArray[np.bool_]]]) -> Samples:
    """Tokens and what counts of each → inputs, labels and mask [B, L]. Lengths say what is padding, no token does."""
    length = max(1, *(len(ids) - 1 for ids, _ in samples))
    inputs, labels = torch.zeros(2, len(samples), length, dtype=torch.int64)
    there, mask = torch.zeros(2, len(samples), length, dtype=torch.bool)
    for row, (ids, trained) in enumerate(samples):
        tokens = torch.from_numpy(ids.astype(np.int64))
        known = max(len(tokens) - 1, 1)  # a lone token is an input without a label
        inputs[row, :known], there[row, :known] = tokens[:known], True
        labels[row, : len(tokens) - 1] = tokens[1:]
        mask[row, : len(tokens) - 1] = torch.from_numpy(trained[1:].copy())
    return Samples({"input_ids": inputs, "attention_mask": there.to(torch.int64)}, labels, mask)
