"""What a block of rows costs, and its gradient: against a teacher's logits, or with labels alone.

Called by `function` for each block. The logits that it is given are the model's own, at T = 1; in their place it leaves
the gradient of α·CE + (1−α)·T²·D with respect to them. `top_k_rows` has the one for a stored teacher.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from distill_trainer.losses.fused.divergences import Divergence, Softened, soften_, softmax_into


@dataclass(frozen=True)
class Block:
    """`rows` of all N, with the logits [R, V] of both models and work tensors like them: all of it may be used up."""

    rows: slice
    student: Tensor
    teacher: Tensor | None
    work: Sequence[Tensor]


class RowLoss(Protocol):
    """The loss of rows."""

    def __call__(self, block: Block) -> tuple[Tensor, Tensor]:
        """CE and T²·D of the rows, [R, 1] each. The student's logits become the gradient."""


@dataclass(frozen=True)
class Labels:
    """Labels int64 [N, 1] and their weight α."""

    places: Tensor
    alpha: float

    def chosen(self, rows: slice, logits: Tensor) -> Tensor:
        """The label's logit of each row, [R, 1]."""
        return logits.gather(-1, self.places[rows])

    def subtract(self, rows: slice, gradient: Tensor) -> None:
        """The label's own part of the gradient, α·(q − 1 at the label)."""
        places = self.places[rows]
        gradient.scatter_add_(-1, places, gradient.new_full(places.shape, -self.alpha))


@dataclass(frozen=True)
class CrossEntropyRows:
    """Labels alone."""

    labels: Labels

    def __call__(self, block: Block) -> tuple[Tensor, Tensor]:
        """See RowLoss."""
        rows, student = block.rows, block.student
        task = -self.labels.chosen(rows, student)
        peak, total = exponentiate_(student)
        student.mul_(self.labels.alpha / total)
        self.labels.subtract(rows, student)
        return task + peak + total.log(), torch.zeros_like(task)


@dataclass(frozen=True)
class DistillationRows:
    """A teacher's logits, and labels where there are some."""

    divergence: Divergence
    temperature: float
    labels: Labels | None = None

    def __call__(self, block: Block) -> tuple[Tensor, Tensor]:
        """See RowLoss."""
        rows, student, teacher = block.rows, block.student, block.teacher
        assert teacher is not None  # noqa: S101 - `losses.fused_kl` gives both
        p, q, spare, hard = block.work
        soften_(teacher, self.temperature, p)
        if self.labels is None:
            task = student.new_zeros(())
            soften_(student, self.temperature, q)
        else:
            log_sum = softmax_into(hard, student)
            task = log_sum - self.labels.chosen(rows, student)
            if self.temperature == 1:
                student.sub_(log_sum)
                q = hard
            else:
                soften_(student, self.temperature, q)
        value = self.divergence(Softened(teacher, p, student, q, spare))
        weigh_(student, self.temperature, self.labels)
        if self.labels is not None:
            student.add_(hard, alpha=self.labels.alpha)
            self.labels.subtract(rows, student)
        return task, value * self.temperature**2


def weigh_(gradient: Tensor, temperature: float, labels: Labels | None) -> Tensor:
    """From ∂D/∂(z/T) to that of (1−α)·T²·D with respect to z, in place."""
    weight = temperature * (1 - (0.0 if labels is None else labels.alpha))
    return gradient if weight == 1 else gradient.mul_(weight)


def exponentiate_(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Logits [R, V] become exp(z − max z) in place. Returns the maximum and the sum, [R, 1] each."""
    peak = logits.amax(dim=-1, keepdim=True)
    return peak, logits.sub_(peak).exp_().sum(dim=-1, keepdim=True)
