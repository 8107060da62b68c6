"""The gradients of a student's hidden states and head, added up chunk by chunk from those of its logits.

Sums over chunks are kept in 32 bits where the model computes in 16: a sum of hundreds of chunks in 16 bits would lose
the later ones. Called by `function`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from distill_trainer.chunks import slices
from distill_trainer.losses.fused.head import Head

SLICE_COLUMNS = 8192
"""Columns of one product where the sum is wider than the product: bounds the memory of what is added."""


class Gradients:
    """Buffers for the tensors that want a gradient. `head` is cut to the real words; padding has a gradient of 0.

    `factor` is what the gradient of a row is to be multiplied with: the head's scale, by the count of rows.
    """

    def __init__(
        self, head: Head, tensors: Sequence[Tensor | None], wanted: Sequence[bool], factor: float
    ) -> None:
        """`tensors` are hidden states [N, H], weight [V, H] and bias [V] or None."""
        self._head, self._factor = head, factor
        hidden, weight, bias = (each if want else None for each, want in zip(tensors, wanted, strict=True))
        self._kinds = tuple(None if each is None else each.dtype for each in (hidden, weight, bias))
        self._hidden = None if hidden is None else torch.empty_like(hidden)
        self._weight, self._bias = (None if each is None else _sums(each) for each in (weight, bias))

    def add(self, rows: slice, logits: Tensor, hidden: Tensor) -> None:
        """Of a chunk: gradient of the loss with respect to its logits [R, V], and its hidden states [R, H]."""
        if self._hidden is not None:
            self._hidden[rows].addmm_(logits, self._head.weight, beta=0, alpha=self._factor)
        if self._weight is not None:
            self._add_weight(self._weight[: self._head.columns], logits, hidden)
        if self._bias is not None:
            summed = logits.sum(dim=0, dtype=self._bias.dtype)
            self._bias[: self._head.columns].add_(summed, alpha=self._factor)

    def _add_weight(self, sums: Tensor, logits: Tensor, hidden: Tensor) -> None:
        if sums.dtype == logits.dtype:
            sums.addmm_(logits.T, hidden, alpha=self._factor)
            return
        for part in slices(self._head.columns, SLICE_COLUMNS):
            sums[part].add_(logits[:, part].T @ hidden, alpha=self._factor)

    def finished(self) -> tuple[Tensor | None, ...]:
        """Those of hidden states, weight and bias, each in the precision of its tensor."""
        buffers = (self._hidden, self._weight, self._bias)
        return tuple(
            None if buffer is None else buffer.to(kind)
            for buffer, kind in zip(buffers, self._kinds, strict=True)
        )


def _sums(like: Tensor) -> Tensor:
    return torch.zeros_like(like, dtype=torch.promote_types(like.dtype, torch.float32))
