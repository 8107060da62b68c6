"""From a layer's output to one vector a sample."""

from __future__ import annotations

from torch import Tensor

from distill_trainer.losses.precision import at_least_float32
from distill_trainer.losses.rows import without_padding


def embedding(values: Tensor, tokens: Tensor | None = None) -> Tensor:
    """[B, D] as it is, maps [B, C, H, W] averaged over space, sequences [B, L, D] over their tokens; at least float32.

    `tokens` (bool [B, L]) is true where a token stands: a text's vector does not depend on how far it was padded.
    """
    values = at_least_float32(values)
    if values.dim() >= 4:
        return values.flatten(2).mean(dim=-1)
    if values.dim() != 3:
        return values
    if tokens is None or values.shape[:2] != tokens.shape:
        return values.mean(dim=1)
    return without_padding(values, tokens).sum(dim=1) / tokens.sum(dim=1, keepdim=True).clamp(min=1)


def embedding_width(shape: tuple[int, ...]) -> int:
    """D of `embedding` for a shape without its batch."""
    return shape[0] if len(shape) >= 3 else shape[-1]
