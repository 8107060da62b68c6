"""Losses that compare samples with each other, over the samples of a whole step that several processes share.

Each process computes the loss L of all samples, among which its own vectors have a gradient and those of the others are
numbers: its ∂L/∂x is exact for its own x. Added up over processes, the gradients of the weights are those of one process
that holds all samples. L itself is counted by each process with its share.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

from torch import Tensor

from distill_trainer.losses.term import Outputs, Targets, TeacherTerm

Gather = Callable[[Tensor, int], Tensor]
"""Vectors [B, D] of this process and the samples S of the step → [S, D] in the step's order; B of them have a gradient."""


class ComparingTerm(TeacherTerm):
    """A term whose Lᵢ is one of a set of samples. A process that has no `gather` compares those that it holds."""

    gather: Gather | None = None

    @abstractmethod
    def vectors(self, outputs: Outputs, targets: Targets, *, student: bool) -> Tensor:
        """What of a model's outputs is compared: [B, D], at least float32; the teacher's without gradient."""

    @abstractmethod
    def between(self, student: Tensor, teacher: Tensor) -> Tensor:
        """The loss of samples [N, D_s] and [N, D_t], a mean over them."""

    def compare(self, student: Outputs, teacher: Outputs, targets: Targets) -> Tensor:
        """See TeacherTerm; weighed by the part of the step's samples that are here."""
        mine = self.vectors(student, targets, student=True)
        theirs = self.vectors(teacher, targets, student=False).detach()
        if self.gather is None or targets.samples is None:
            return targets.share * self.between(mine, theirs)
        samples = round(float(targets.samples))
        loss = self.between(self.gather(mine, samples), self.gather(theirs, samples))
        return loss - (1 - targets.share) * loss.detach()
