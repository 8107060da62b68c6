"""A Transformers model of text behind the one-argument interface that all networks here have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class TextNetwork(nn.Module):
    """Passes the tensors of `Batch.inputs` on by name and gives the logits alone."""

    order: Tensor | None

    def __init__(
        self,
        model: nn.Module,
        columns: int | None = None,
        *,
        order: Sequence[int] | None = None,
        **settings: Any,
    ) -> None:
        """`settings` go to the model at every call, as in `use_cache`.

        `columns` are the classes that exist: a head that is padded to a round width is cut before any softmax, which
        then spreads all probability over what exists, whatever width the other model's head has. `order` names the
        output of each class of the data.
        """
        super().__init__()
        self.model = model
        self._columns = columns
        self._settings = settings
        self.register_buffer("order", order_of(order))

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """`input_ids`, `attention_mask` … int64 [B, L] → logits [B, classes], or [B, L, classes] of token tasks."""
        logits: Tensor = self.model(**inputs, **self._settings).logits
        padded = self._columns is not None and logits.shape[-1] > self._columns
        logits = logits[..., : self._columns] if padded else logits
        return logits if self.order is None else logits[..., self.order]


def order_of(order: Sequence[int] | None) -> Tensor | None:
    """int64 [classes]. A buffer, so that the digest of a teacher's state says in which order its outputs come."""
    return None if order is None else torch.tensor(order)
