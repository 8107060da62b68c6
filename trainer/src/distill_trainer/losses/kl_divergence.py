"""Kullback–Leibler divergence from the teacher's softened distribution to the student's.

Hinton, Vinyals, Dean: Distilling the Knowledge in a Neural Network (arXiv 1503.02531), section 2.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from distill_trainer.losses.precision import at_least_float32


def kl_divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² · KL(softmax(z_t/T) ‖ softmax(z_s/T)), summed over classes and averaged over rows. Logits [B, C]; nats.

    T² keeps the gradient's size when T changes: ∂L/∂z_s = T(q − p)/B, and for T → ∞ the loss goes to
    ‖z̄_s − z̄_t‖²/(2C) on zero-mean logits. It is 0 with zero gradient where both are equal.
    """
    log_p = F.log_softmax(at_least_float32(teacher) / temperature, dim=-1)
    log_q = F.log_softmax(at_least_float32(student) / temperature, dim=-1)
    per_row = (log_p.exp() * (log_p - log_q)).sum(dim=-1)
    return per_row.mean() * temperature**2
