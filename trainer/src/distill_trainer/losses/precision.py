"""The one rule about precision that every loss shares."""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_float32(values: Tensor) -> Tensor:
    """Half precisions become float32: their softmax loses the small probabilities that distillation is about."""
    return values.float() if values.dtype in {torch.float16, torch.bfloat16} else values
