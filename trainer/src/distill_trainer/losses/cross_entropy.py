"""Cross-entropy with the hard labels."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from distill_trainer.losses.precision import at_least_float32
from distill_trainer.losses.rows import Count, divisor, flat_rows


def cross_entropy(
    logits: Tensor, labels: Tensor, *, mask: Tensor | None = None, count: Count = None
) -> Tensor:
    """Mean over rows of −log softmax(z)[label]. Logits [..., C], labels int64 [...]; a scalar in nats."""
    labels = labels.flatten() if mask is None else labels[mask]
    total = F.cross_entropy(at_least_float32(flat_rows(logits, mask)), labels, reduction="sum")
    return total / divisor(len(labels), count)
