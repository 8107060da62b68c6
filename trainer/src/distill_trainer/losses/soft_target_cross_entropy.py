"""Cross-entropy with the teacher's soft targets.

Hinton, Vinyals, Dean: Distilling the Knowledge in a Neural Network (arXiv 1503.02531), section 2.
"""

from __future__ import annotations

from torch import Tensor

from distill_trainer.losses.kl_divergence import softened
from distill_trainer.losses.rows import Count, mean_over_rows
from distill_trainer.losses.sparse import SampledTeacher, SparseTeacher, sampled_cross_entropy
from distill_trainer.losses.term import LogitTerm, TermPlan


def soft_target_cross_entropy(
    student: Tensor,
    teacher: Tensor | SparseTeacher,
    temperature: float,
    *,
    mask: Tensor | None = None,
    count: Count = None,
) -> Tensor:
    """−T² · Σ p log q with p, q softened by T, mean over rows: KL(p ‖ q) and the teacher's entropy. Logits [..., C]."""
    if isinstance(teacher, SampledTeacher):
        rows = sampled_cross_entropy(student, teacher, temperature, mask)
    else:
        log_p, log_q = softened(student, teacher, temperature, mask)
        rows = -(log_p.exp() * log_q).sum(dim=-1)
    return mean_over_rows(rows, count) * temperature**2


class SoftTargetCrossEntropyTerm(LogitTerm):
    """The logits, softened by T."""

    @classmethod
    def of(cls, plan: TermPlan) -> SoftTargetCrossEntropyTerm:
        """From the API's term."""
        return cls(soft_target_cross_entropy, plan.temperature)
