"""Rows and their mean: the one place where a batch, padding and the count to divide by are dealt with.

A row is a sample for classifiers and a token for sequences. Padding is taken out before anything is computed, so that
it costs nothing and no number in it can reach a gradient. The divisor is the *global* count of rows: a batch that is cut
into micro-batches, or spread over ranks, adds up to the same loss (a mean of the parts' means does not).
"""

from __future__ import annotations

from torch import Tensor

from distill_trainer.losses.precision import at_least_float32

Count = Tensor | float | None
"""Rows of the whole optimizer step; None: those at hand are all there are."""


def valid_rows(student: Tensor, teacher: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Logits [..., C] of both and a bool mask [...] → [N, C] each, at least float32; the teacher's without gradient.

    Raises ValueError where the shapes differ: broadcasting would compare what does not belong together.
    """
    if student.shape != teacher.shape:
        raise ValueError(
            f"student gives {list(student.shape)} and teacher {list(teacher.shape)}: both must have the same shape"
        )
    return at_least_float32(flat_rows(student, mask)), at_least_float32(flat_rows(teacher.detach(), mask))


def flat_rows(values: Tensor, mask: Tensor | None = None) -> Tensor:
    """[..., C] → [N, C], the rows of the mask alone where there is one."""
    return values.flatten(0, -2) if mask is None else values[mask]


def without_padding(values: Tensor, tokens: Tensor | None) -> Tensor:
    """Sequences [B, L, D] with 0 where no token stands (bool [B, L]); what is no sequence of these tokens as it is."""
    if tokens is None or values.dim() != 3 or values.shape[:2] != tokens.shape:
        return values
    return values.where(tokens[..., None], values.new_zeros(()))


def mean_over_rows(per_row: Tensor, count: Count = None) -> Tensor:
    """Sum of [N] divided by `count`, or by N. No row at all gives 0 and not a division by 0."""
    return per_row.sum() / divisor(per_row.numel(), count)


def divisor(rows: int, count: Count = None) -> Tensor | float:
    """What a sum over so many rows is divided by for its mean over those of the whole step."""
    return max(rows, 1) if count is None else count


def real_columns(student: Tensor, teacher: Tensor, columns: int) -> tuple[Tensor, Tensor]:
    """Both logits cut to the first `columns` classes: heads that are padded to different widths share the real ones.

    Cut before the softmax, which then spreads all probability over what exists. Raises ValueError for a narrower head.
    """
    for name, logits in (("student", student), ("teacher", teacher)):
        if logits.shape[-1] < columns:
            raise ValueError(
                f"the {name}'s head has {logits.shape[-1]} columns, fewer than the {columns} classes"
            )
    return student[..., :columns], teacher[..., :columns]
