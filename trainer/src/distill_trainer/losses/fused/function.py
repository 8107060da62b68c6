"""The pass over chunks of rows, as one autograd function: value and gradients at once. Called by `losses`.

Both gradients of a row follow from the logits' gradient, which is at hand as soon as the row's loss is, so it is
multiplied out at once and the backward pass only hands out what is ready. There is no second derivative.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from distill_trainer.chunks import WORK_TENSORS, block_rows, slices
from distill_trainer.losses.fused.gradients import Gradients
from distill_trainer.losses.fused.head import Head
from distill_trainer.losses.fused.row_losses import Block, RowLoss


@dataclass(frozen=True)
class Pass:
    """What a pass computes. Heads are cut to the real words and without gradient, `teacher` has its hidden states too.

    `count` divides the sums over rows, α weighs CE; `wanted` says whether hidden states, weight and bias want gradients.
    """

    row_loss: RowLoss
    student: Head
    teacher: tuple[Tensor, Head] | None
    alpha: float
    count: float
    chunk: int
    wanted: Sequence[bool]


class FusedLoss(torch.autograd.Function):
    """Total, CE and T²·D: sums over rows divided by the count, of which only the total has a gradient."""

    @staticmethod
    def forward(
        ctx: Any, plan: Pass, hidden: Tensor, weight: Tensor, bias: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Hidden states [N, H]; weight [V, H] and bias [V] as they are trained, padding included. Scalars."""
        gradients = Gradients(
            plan.student, (hidden, weight, bias), plan.wanted, plan.student.scale / plan.count
        )
        with torch.autocast(hidden.device.type, enabled=False):
            task, distillation = _run(plan, hidden, gradients).sum(dim=-1).div_(plan.count).unbind()
        ctx.save_for_backward(*gradients.finished())
        ctx.mark_non_differentiable(task, distillation)
        return plan.alpha * task + (1 - plan.alpha) * distillation, task, distillation

    @staticmethod
    def backward(ctx: Any, total: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients times that of the total; where that is 1, as it mostly is, without a copy.

        Raises RuntimeError under create_graph: gradients would look like constants to whoever derives them again.
        """
        if torch.is_grad_enabled():
            raise RuntimeError("a fused loss has no second derivative: use the plain loss with create_graph")
        ready = ctx.saved_tensors
        if total.device.type != "cpu" or total.item() != 1:
            ready = [None if each is None else each * total.to(each.dtype) for each in ready]
        return (None, *ready)


def _run(plan: Pass, hidden: Tensor, gradients: Gradients) -> Tensor:
    """CE and T²·D of each row, [2, N]."""
    columns = plan.student.columns
    precision = torch.promote_types(hidden.dtype, torch.float32)
    per_row = hidden.new_zeros(2, len(hidden), dtype=precision)
    student = hidden.new_empty(plan.chunk, columns)
    teacher = None if plan.teacher is None else plan.teacher[0].new_empty(plan.chunk, columns)
    size = block_rows(plan.chunk, columns, hidden.device.type)
    work = hidden.new_empty(WORK_TENSORS, size, columns, dtype=precision)
    for rows in slices(len(hidden), plan.chunk):
        length = rows.stop - rows.start
        z_s = plan.student.project(hidden[rows], student[:length])
        z_t = _teacher_logits(plan, rows, teacher)
        for part in slices(length, size):
            places = slice(rows.start + part.start, rows.start + part.stop)
            said = None if z_t is None else z_t[part]
            task, distillation = _block(plan, places, z_s[part], said, work[:, : part.stop - part.start])
            per_row[0, places], per_row[1, places] = task.squeeze(-1), distillation.squeeze(-1)
        gradients.add(rows, z_s, hidden[rows])
    return per_row


def _teacher_logits(plan: Pass, rows: slice, buffer: Tensor | None) -> Tensor | None:
    if plan.teacher is None or buffer is None:
        return None
    hidden, head = plan.teacher
    return head.project(hidden[rows], buffer[: rows.stop - rows.start])


def _block(plan: Pass, places: slice, z_s: Tensor, z_t: Tensor | None, work: Tensor) -> tuple[Tensor, Tensor]:
    """The block's losses, [R, 1] each; its logits become their gradient. In 32 bits whatever the model computes in."""
    student = z_s.to(work.dtype)
    teacher = None if z_t is None else z_t.to(work.dtype)
    plan.student.cap_(student)
    slope = plan.student.slope(student)
    if teacher is not None and plan.teacher is not None:
        plan.teacher[1].cap_(teacher)
    task, distillation = plan.row_loss(Block(places, student, teacher, work.unbind()))
    if slope is not None:
        student.mul_(slope)
    if student is not z_s:
        z_s.copy_(student)
    return task, distillation
