"""Rows against a stored teacher: the K words that are known of it, and all others as one (`losses.sparse`).

Over K + 1 categories every divergence is the same function as over a vocabulary; what is added here is the way from
logits to categories and, with the gradient, back.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from distill_trainer.losses.fused.divergences import Divergence, Softened, softmax_into
from distill_trainer.losses.fused.row_losses import Block, Labels, exponentiate_, weigh_


@dataclass(frozen=True)
class TopKRows:
    """Places `indices` int64 [N, K] and log-probabilities `log_p` [N, K + 1] at T; labels where there are some."""

    divergence: Divergence
    temperature: float
    indices: Tensor
    log_p: Tensor
    labels: Labels | None = None

    def __call__(self, block: Block) -> tuple[Tensor, Tensor]:
        """See RowLoss."""
        rows, student, hard = block.rows, block.student, block.work[0]
        task = student.new_zeros(())
        if self.labels is not None:
            task = -self.labels.chosen(rows, student)
        if self.labels is not None and self.temperature != 1:
            task = task + softmax_into(hard, student)
        if self.temperature != 1:
            student.div_(self.temperature)
        sums, others = self._group_(rows, student)
        log_sum = sums.logsumexp(dim=-1, keepdim=True)
        categories = self._softened(rows, sums - log_sum)
        value = self.divergence(categories)
        gradient = weigh_(categories.log_q, self.temperature, self.labels)
        if self.labels is not None and self.temperature == 1:
            task = task + log_sum
            gradient.add_(categories.q, alpha=self.labels.alpha)
        student.mul_(gradient[:, -1:] / others)  # each other word has its share of what they have together
        student.scatter_(-1, self.indices[rows], gradient[:, :-1])
        if self.labels is not None and self.temperature != 1:
            student.add_(hard, alpha=self.labels.alpha)
        if self.labels is not None:
            self.labels.subtract(rows, student)
        return task, value * self.temperature**2

    def _group_(self, rows: slice, student: Tensor) -> tuple[Tensor, Tensor]:
        """Log of Σ exp z of each category, [R, K + 1]; the logits become exp(z − peak), 0 at the known, with that sum."""
        indices = self.indices[rows]
        known = student.gather(-1, indices)
        # The others from their own logits: 1 − Σ q would have no digit left where the known words are almost all.
        peak, others = exponentiate_(student.scatter_(-1, indices, -torch.inf))
        return torch.cat([known, peak + others.log()], dim=-1), others

    def _softened(self, rows: slice, log_q: Tensor) -> Softened:
        log_p = self.log_p[rows].to(log_q.dtype, copy=True)
        return Softened(log_p, log_p.exp(), log_q, log_q.exp(), torch.empty_like(log_q))
