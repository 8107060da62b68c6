"""Attention transfer between convolutional layers: where a layer is active, not how.

Transformers have their own in `transformer_attention`. Zagoruyko, Komodakis: Paying More Attention to Attention (arXiv 1612.03928), equation 2; `CODE` is what the authors'
published code computes instead.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from distill_api.terms import AttentionMode
from distill_trainer.losses.precision import at_least_float32
from distill_trainer.losses.rows import Count, mean_over_rows
from distill_trainer.losses.safe_root import safe_root
from distill_trainer.losses.term import Outputs, PlannedPair, Targets, TeacherTerm, TermPlan


def attention_map(activations: Tensor) -> Tensor:
    """Q/‖Q‖₂ with Q = vec(Σ_c |A_c|²). Activations [B, C, H, W] → [B, H·W] of length 1 (0 where nothing is active)."""
    return F.normalize(at_least_float32(activations).square().sum(dim=1).flatten(1), dim=-1)


def attention_transfer(
    student: Tensor, teacher: Tensor, *, mode: AttentionMode = AttentionMode.PAPER, count: Count = None
) -> Tensor:
    """Maps [B, C, H, W] of one pair; channels may differ, height and width may not. Mean over samples.

    Paper: ½ · ‖Q_S/‖Q_S‖ − Q_T/‖Q_T‖‖₂, to be weighed by the paper's β. Code: the mean square of the same difference.
    """
    difference = attention_map(student) - attention_map(teacher.detach())
    square = difference.square()
    per_sample = square.mean(-1) if mode is AttentionMode.CODE else 0.5 * safe_root(square.sum(-1))
    return mean_over_rows(per_sample, count)


class AttentionTransferTerm(TeacherTerm):
    """The sum over its pairs."""

    def __init__(self, pairs: tuple[PlannedPair, ...], mode: AttentionMode) -> None:
        super().__init__(pairs)
        self._mode = mode

    @classmethod
    def of(cls, plan: TermPlan) -> AttentionTransferTerm:
        """From the API's term."""
        return cls(plan.pairs, plan.term.mode or AttentionMode.PAPER)

    def compare(self, student: Outputs, teacher: Outputs, targets: Targets) -> Tensor:
        """See TeacherTerm."""
        losses = [
            attention_transfer(
                student.of(pair.student),
                teacher.of(pair.teacher),
                mode=self._mode,
                count=targets.sample_count,
            )
            for pair in self.pairs
        ]
        return sum(losses[1:], start=losses[0])
