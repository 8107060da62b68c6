"""Cross-entropy with the hard labels."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from distill_trainer.losses.precision import at_least_float32


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over rows of −log softmax(z)[label]. Logits [B, C], labels int64 [B]; a scalar in nats."""
    return F.cross_entropy(at_least_float32(logits), labels)
