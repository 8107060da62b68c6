"""The three losses that tasks call: a teacher at hand, a stored teacher, none.

Each gives the same numbers as the plain losses of this package do on logits. Rows, masks and counts are as in `losses.rows`.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from distill_trainer.chunks import chunk_rows
from distill_trainer.losses.combined import LossParts
from distill_trainer.losses.fused.divergences import Divergence, forward
from distill_trainer.losses.fused.function import FusedLoss, Pass
from distill_trainer.losses.fused.head import Head
from distill_trainer.losses.fused.inputs import (
    as_autocast,
    flat_labels,
    real_columns,
    same_rows,
    weighed_labels,
)
from distill_trainer.losses.fused.row_losses import CrossEntropyRows, DistillationRows, Labels, RowLoss
from distill_trainer.losses.fused.top_k_rows import TopKRows
from distill_trainer.losses.rows import Count, flat_rows
from distill_trainer.losses.sparse import TopKTeacher


def fused_kl(
    student_hidden: Tensor,
    student_head: Head,
    teacher_hidden: Tensor,
    teacher_head: Head,
    temperature: float,
    *,
    divergence: Divergence = forward,
    labels: Tensor | None = None,
    alpha: float = 0.0,
    mask: Tensor | None = None,
    count: Count = None,
    columns: int | None = None,
    chunk: int | None = None,
) -> LossParts:
    """α·CE + (1−α)·T²·D of softmax(z_t/T) and softmax(z_s/T), mean over rows; CE at T = 1. D is KL(p ‖ q) unless given.

    Hidden states [..., H_s] and [..., H_t], labels int64 [...]; rows where `mask` (bool [...]) is False are taken out before
    anything is computed. `columns` are the real words: heads padded beyond them, even to different widths, are cut to
    them before the softmax. `chunk` rows are in memory at once. Only `total` has a gradient: for the student's hidden states,
    weight and bias, where they want one. Parts that are not asked for are 0. Raises ValueError where shapes disagree.
    """
    hidden = flat_rows(student_hidden, mask)
    taught = flat_rows(teacher_hidden.detach(), mask)
    same_rows(len(hidden), teacher=len(taught))
    columns = real_columns(columns, student=student_head, teacher=teacher_head)
    teacher = as_autocast(taught, teacher_head.detached().cut(columns))
    rows = DistillationRows(divergence, temperature, weighed_labels(labels, alpha, mask, len(hidden)))
    return _parts(rows, hidden, student_head, teacher, alpha, count, columns, chunk)


def fused_topk_kl(
    student_hidden: Tensor,
    student_head: Head,
    teacher: TopKTeacher,
    temperature: float,
    *,
    divergence: Divergence = forward,
    labels: Tensor | None = None,
    alpha: float = 0.0,
    mask: Tensor | None = None,
    count: Count = None,
    columns: int | None = None,
    chunk: int | None = None,
) -> LossParts:
    """As `fused_kl`, against K stored words and all others as one category; the teacher has the rows of the mask alone.

    Raises KeyError where the tail of this temperature was not stored, ValueError where rows disagree or no word is left.
    """
    hidden = flat_rows(student_hidden, mask)
    same_rows(len(hidden), teacher=len(teacher.indices))
    columns = real_columns(columns, student=student_head)
    if teacher.indices.shape[-1] >= columns:
        raise ValueError(
            f"{teacher.indices.shape[-1]} words of the teacher leave no other of {columns}: store fewer"
        )
    rows = TopKRows(
        divergence,
        temperature,
        teacher.indices,
        teacher.softened(temperature),
        weighed_labels(labels, alpha, mask, len(hidden)),
    )
    return _parts(rows, hidden, student_head, None, alpha, count, columns, chunk)


def chunked_cross_entropy(
    student_hidden: Tensor,
    student_head: Head,
    labels: Tensor,
    *,
    mask: Tensor | None = None,
    count: Count = None,
    columns: int | None = None,
    chunk: int | None = None,
) -> LossParts:
    """Mean over rows of −log softmax(z_s)[label], as in `fused_kl`."""
    hidden, columns = flat_rows(student_hidden, mask), real_columns(columns, student=student_head)
    rows = CrossEntropyRows(Labels(flat_labels(labels, mask, len(hidden)), 1.0))
    parts = _parts(rows, hidden, student_head, None, 1.0, count, columns, chunk)
    return replace(parts, terms=())


def _parts(
    rows: RowLoss,
    hidden: Tensor,
    head: Head,
    teacher: tuple[Tensor, Head] | None,
    alpha: float,
    count: Count,
    columns: int,
    chunk: int | None,
) -> LossParts:
    hidden, head = as_autocast(hidden, head)
    tracked = [
        torch.is_grad_enabled() and each is not None and each.requires_grad
        for each in (hidden, head.weight, head.bias)
    ]
    total, task, distillation = FusedLoss.apply(
        Pass(
            rows,
            head.detached().cut(columns),
            teacher,
            alpha,
            float(max(len(hidden), 1) if count is None else count),
            chunk or chunk_rows(len(hidden), columns),
            tracked,
        ),
        hidden,
        head.weight,
        head.bias,
    )
    return LossParts(total, task, distillation, (distillation,))
