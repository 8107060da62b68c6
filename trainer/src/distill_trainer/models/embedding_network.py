"""A Transformers encoder as a network that gives one vector of length 1 for each text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distill_trainer.models.sentence import PoolingMode


class Pooling(nn.Module):
    """Of the vectors of a text's tokens one; padding counts nowhere. Its output is what a Hint term names `pooling`."""

    def __init__(self, mode: PoolingMode) -> None:
        super().__init__()
        self.mode = mode

    def forward(self, hidden: Tensor, tokens: Tensor | None) -> Tensor:
        """[B, L, D] and 1 where a token stands, int64 [B, L] (None: everywhere) → float32 [B, D]."""
        hidden = hidden.float()
        if self.mode is PoolingMode.CLS:
            first = hidden.new_zeros(len(hidden), dtype=torch.int64) if tokens is None else tokens.argmax(1)
            place = first[:, None, None].expand(-1, 1, hidden.shape[-1])
            return hidden.gather(1, place)[:, 0]
        if tokens is None:
            return hidden.mean(dim=1)
        counted = tokens[..., None].to(hidden.dtype)
        return (hidden * counted).sum(dim=1) / counted.sum(dim=1).clamp(min=1)


class EmbeddingNetwork(nn.Module):
    """Encoder, pooling, length 1 (Reimers, Gurevych 2019: Sentence-BERT, arXiv 1908.10084, section 3)."""

    def __init__(self, model: nn.Module, mode: PoolingMode) -> None:
        super().__init__()
        self.model = model
        self.pooling = Pooling(mode)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """`input_ids`, `attention_mask` … int64 [B, L] → embeddings float32 [B, D], ‖·‖₂ = 1."""
        hidden: Tensor = self.model(**inputs).last_hidden_state
        return F.normalize(self.pooling(hidden, inputs.get("attention_mask")), dim=-1)


@torch.no_grad()
def without_pooler(encoder: nn.Module, missing: Sequence[str]) -> list[str]:
    """Names of tensors that a folder lacks, without those of BERT's pooler, which no embedding is made from.

    They are set to 0, since what the library fills them with would be another state of the teacher at each start.
    """
    idle = [name for name in missing if name.startswith("pooler.")]
    for name in idle:
        encoder.get_parameter(name).zero_()
    return [name for name in missing if name not in idle]
