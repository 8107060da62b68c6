"""Attention transfer between transformers: which token looks at which, head by head.

TinyBERT: Jiao et al.: TinyBERT (arXiv 1909.10351), equation 7. MiniLM: Wang et al.: MiniLM (arXiv 2002.10957), equations
5 to 9. Both are means over a sample's own tokens first and over samples then; padding is neither looked at nor looks.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from distill_api.terms import AttentionMode
from distill_trainer.losses.precision import at_least_float32
from distill_trainer.losses.rows import Count, mean_over_rows, without_padding
from distill_trainer.losses.term import Outputs, PlannedPair, Targets, TeacherTerm, TermPlan


def scaled_products(left: Tensor, right: Tensor, heads: int, tokens: Tensor | None = None) -> Tensor:
    """Scores A Bᵀ/√d of each head: two projections [B, L, heads · d] → [B, heads, L, L], at least float32."""
    a, b = (
        at_least_float32(without_padding(each, tokens)).reshape(*each.shape[:2], heads, -1).transpose(1, 2)
        for each in (left, right)
    )
    return a @ b.transpose(2, 3) / math.sqrt(a.shape[-1])


def scores_difference(
    student: Tensor, teacher: Tensor, *, tokens: Tensor | None = None, count: Count = None
) -> Tensor:
    """1/h · Σ over heads of the mean square of A_S − A_T, before the softmax. Scores [B, h, L, L]; mean over samples.

    No score is cut or set to 0 for being negative. Raises ValueError where the shapes differ.
    """
    there = _tokens(student, teacher, tokens)
    seen = there[:, None, :, None] & there[:, None, None, :]
    difference = (student - teacher.detach()).where(seen, student.new_zeros(()))
    per_sample = difference.square().sum(dim=(1, 2, 3)) / (student.shape[1] * _lengths(there).square())
    return mean_over_rows(per_sample, count)


def relations_divergence(
    student: Tensor, teacher: Tensor, *, tokens: Tensor | None = None, count: Count = None
) -> Tensor:
    """KL(softmax(R_T) ‖ softmax(R_S)) of each row, mean over a sample's heads and tokens, mean over samples.

    Relations [B, h, L, L]: scores of attention, or of values with values. Raises ValueError where the shapes differ.
    """
    there = _tokens(student, teacher, tokens)
    log_q, log_p = (_log_softmax(each, there) for each in (student, teacher.detach()))
    per_row = (log_p.exp() * (log_p - log_q)).sum(dim=-1)
    per_row = per_row.where(there[:, None, :], per_row.new_zeros(()))
    return mean_over_rows(per_row.sum(dim=(1, 2)) / (student.shape[1] * _lengths(there)), count)


def _log_softmax(relations: Tensor, there: Tensor) -> Tensor:
    """Over the tokens that are there: the others get a probability of exactly 0, with a finite logarithm."""
    lowest = torch.finfo(relations.dtype).min
    return relations.masked_fill(~there[:, None, None, :], lowest).log_softmax(dim=-1)


def _tokens(student: Tensor, teacher: Tensor, tokens: Tensor | None) -> Tensor:
    if student.shape != teacher.shape:
        raise ValueError(f"student's attention is {list(student.shape)}, teacher's {list(teacher.shape)}")
    batch, _, length, _ = student.shape
    return torch.ones(batch, length, dtype=torch.bool, device=student.device) if tokens is None else tokens


def _lengths(there: Tensor) -> Tensor:
    return there.sum(dim=1).clamp(min=1)


class TransformerAttentionTerm(TeacherTerm):
    """The sum over attention layers; each is two pairs of projections (query, key), or three (and value) for MiniLM."""

    def __init__(self, pairs: tuple[PlannedPair, ...], mode: AttentionMode) -> None:
        super().__init__(pairs)
        self._mode = mode
        size = 2 if mode is AttentionMode.TINY_BERT else 3
        self._layers = [pairs[at : at + size] for at in range(0, len(pairs), size)]

    @classmethod
    def of(cls, plan: TermPlan) -> TransformerAttentionTerm:
        """From the API's term."""
        return cls(plan.pairs, plan.term.mode or AttentionMode.TINY_BERT)

    def compare(self, student: Outputs, teacher: Outputs, targets: Targets) -> Tensor:
        """See TeacherTerm."""
        losses = [self._layer(pairs, student, teacher, targets) for pairs in self._layers]
        return sum(losses[1:], start=losses[0])

    def _layer(
        self, pairs: tuple[PlannedPair, ...], student: Outputs, teacher: Outputs, targets: Targets
    ) -> Tensor:
        heads, tokens, count = pairs[0].heads or 1, targets.tokens, targets.sample_count
        mine = [student.of(pair.student) for pair in pairs]
        theirs = [teacher.of(pair.teacher) for pair in pairs]
        scores = [scaled_products(query, key, heads, tokens) for query, key, *_ in (mine, theirs)]
        if self._mode is AttentionMode.TINY_BERT:
            return scores_difference(*scores, tokens=tokens, count=count)
        values = [scaled_products(of[2], of[2], heads, tokens) for of in (mine, theirs)]
        return relations_divergence(*scores, tokens=tokens, count=count) + relations_divergence(
            *values, tokens=tokens, count=count
        )
