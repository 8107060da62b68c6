"""A Transformers model of text behind the one-argument interface that all networks here have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


class TextNetwork(nn.Module):
    """Passes the tensors of `Batch.inputs` on by name and gives the logits alone."""

    def __init__(self, model: nn.Module, **settings: Any) -> None:
        """`settings` go to the model at every call, as in `use_cache`."""
        super().__init__()
        self.model = model
        self._settings = settings

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """`input_ids`, `attention_mask` … int64 [B, L] → logits [B, classes], or [B, L, classes] of token tasks."""
        logits: Tensor = self.model(**inputs, **self._settings).logits
        return logits
