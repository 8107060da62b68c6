"""From a layer's output to one vector a sample."""

from __future__ import annotations

from torch import Tensor

from distill_trainer.losses.precision import at_least_float32


def embedding(values: Tensor) -> Tensor:
    """[B, D] as it is, maps [B, C, H, W] averaged over space, sequences [B, L, D] over positions; at least float32."""
    values = at_least_float32(values)
    if values.dim() >= 4:
        return values.flatten(2).mean(dim=-1)
    return values.mean(dim=1) if values.dim() == 3 else values


def embedding_width(shape: tuple[int, ...]) -> int:
    """D of `embedding` for a shape without its batch."""
    return shape[0] if len(shape) >= 3 else shape[-1]
