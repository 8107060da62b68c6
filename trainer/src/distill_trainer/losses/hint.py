"""Hints: a layer of the student learns to give what a layer of the teacher gives.

Romero et al.: FitNets: Hints for Thin Deep Nets (arXiv 1412.6550), equation 3.
"""

from __future__ import annotations

from torch import Tensor, nn

from distill_api.terms import Projection
from distill_trainer.losses.precision import at_least_float32
from distill_trainer.losses.rows import Count, without_padding
from distill_trainer.losses.term import Outputs, PlannedPair, Targets, TeacherTerm, TermPlan


def hint(student: Tensor, teacher: Tensor, *, tokens: Tensor | None = None, count: Count = None) -> Tensor:
    """½‖u_h − r(v_g)‖², summed over all elements of a sample, mean over samples. Both [B, …] of one shape.

    `student` is what the regressor r gives. Of sequences [B, L, D] the positions of `tokens` (bool [B, L]) are summed.
    Raises ValueError where the shapes differ.
    """
    if student.shape != teacher.shape:
        raise ValueError(f"student's layer gives {list(student.shape)}, teacher's {list(teacher.shape)}")
    difference = at_least_float32(student) - at_least_float32(teacher.detach())
    difference = without_padding(difference, tokens)
    return 0.5 * difference.square().sum() / (len(student) if count is None else count)


class Regressor(nn.Module):
    """A learned linear map over the channels: of [B, D] and [B, L, D] the last dimension, of maps [B, C, H, W] the second.

    On maps it is a 1×1 convolution, the smallest regressor of the paper.
    """

    def __init__(self, student_width: int, teacher_width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(student_width, teacher_width)

    def forward(self, values: Tensor) -> Tensor:
        """[B, …, C_s, …] → [B, …, C_t, …]."""
        if values.dim() < 4:
            projected: Tensor = self.linear(values)
            return projected
        moved: Tensor = self.linear(values.movedim(1, -1))
        return moved.movedim(-1, 1)


class HintTerm(TeacherTerm):
    """The sum over its pairs, each with its own regressor where the pair has a projection."""

    def __init__(self, pairs: tuple[PlannedPair, ...]) -> None:
        super().__init__(pairs)
        self.regressors = nn.ModuleList(_regressor(pair) for pair in pairs)

    @classmethod
    def of(cls, plan: TermPlan) -> HintTerm:
        """From the API's term."""
        return cls(plan.pairs)

    def compare(self, student: Outputs, teacher: Outputs, targets: Targets) -> Tensor:
        """See TeacherTerm."""
        losses = [
            hint(
                regressor(student.of(pair.student)),
                teacher.of(pair.teacher),
                tokens=targets.tokens,
                count=targets.sample_count,
            )
            for pair, regressor in zip(self.pairs, self.regressors, strict=True)
        ]
        return sum(losses[1:], start=losses[0])


def channel_axis(shape: tuple[int, ...]) -> int:
    """Index of the channels in a shape without its batch: maps have them first, vectors and sequences last."""
    return 0 if len(shape) >= 3 else -1


def _regressor(pair: PlannedPair) -> nn.Module:
    if pair.projection is not Projection.LINEAR:
        return nn.Identity()
    axis = channel_axis(pair.student_shape)
    return Regressor(pair.student_shape[axis], pair.teacher_shape[axis])
