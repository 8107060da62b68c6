"""A Transformers model of text behind the one-argument interface that all networks here have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class TextNetwork(nn.Module):
    """Passes the tensors of `Batch.inputs` on by name and gives the logits alone."""

    order: Tensor | None

    def __init__(self, model: nn.Module, *, order: Sequence[int] | None = None, **settings: Any) -> None:
        """`settings` go to the model at every call, as in `use_cache`; `order` names the output of each class of the data."""
        super().__init__()
        self.model = model
        self._settings = settings
        self.register_buffer("order", order_of(order))

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """`input_ids`, `attention_mask` … int64 [B, L] → logits [B, classes], or [B, L, classes] of token tasks."""
        logits: Tensor = self.model(**inputs, **self._settings).logits
        return logits if self.order is None else logits[..., self.order]


def order_of(order: Sequence[int] | None) -> Tensor | None:
    """int64 [classes]. A buffer, so that the digest of a teacher's state says in which order its outputs come."""
    return None if order is None else torch.tensor(order)
