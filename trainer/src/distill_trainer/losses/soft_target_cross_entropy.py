"""Cross-entropy with the teacher's soft targets.

Hinton, Vinyals, Dean: Distilling the Knowledge in a Neural Network (arXiv 1503.02531), section 2.
"""

from __future__ import annotations

from functools import partial

import torch.nn.functional as F
from torch import Tensor

from distill_trainer.losses.rows import Count, mean_over_rows, valid_rows
from distill_trainer.losses.term import LogitTerm, TermPlan


def soft_target_cross_entropy(
    student: Tensor, teacher: Tensor, temperature: float, *, mask: Tensor | None = None, count: Count = None
) -> Tensor:
    """−T² · Σ p log q with p, q softened by T, mean over rows: KL(p ‖ q) and the teacher's entropy. Logits [..., C]."""
    z_s, z_t = valid_rows(student, teacher, mask)
    p, log_q = F.softmax(z_t / temperature, dim=-1), F.log_softmax(z_s / temperature, dim=-1)
    return mean_over_rows(-(p * log_q).sum(dim=-1), count) * temperature**2


class SoftTargetCrossEntropyTerm(LogitTerm):
    """The logits, softened by T."""

    @classmethod
    def of(cls, plan: TermPlan) -> SoftTargetCrossEntropyTerm:
        """From the API's term."""
        return cls(partial(soft_target_cross_entropy, temperature=plan.temperature))
