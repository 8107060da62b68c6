"""What the losses check and prepare of what they are given, before the pass."""

from __future__ import annotations

import torch
from torch import Tensor

from distill_trainer.losses.fused.head import Head
from distill_trainer.losses.fused.row_losses import Labels


def same_rows(student: int, **others: int) -> None:
    """Raises ValueError where another number of rows is named than the student has."""
    for name, rows in others.items():
        if rows != student:
            raise ValueError(f"the student has {student} rows and the {name} {rows}: both must have the same")


def real_columns(columns: int | None, **heads: Head) -> int:
    """The words that all heads have: `columns`, or the width of heads that are equally wide. Raises ValueError else."""
    widths = {name: head.columns for name, head in heads.items()}
    if columns is None:
        if len(set(widths.values())) > 1:
            found = " and ".join(f"the {name}'s head {width}" for name, width in widths.items())
            raise ValueError(f"{found} columns: say with `columns` how many are real words")
        return next(iter(widths.values()))
    for name, width in widths.items():
        if width < columns:
            raise ValueError(f"the {name}'s head has {width} columns, fewer than the {columns} words")
    return columns


def weighed_labels(labels: Tensor | None, alpha: float, mask: Tensor | None, rows: int) -> Labels | None:
    """Labels with their α. Raises ValueError for a weight of labels that are not there."""
    if labels is None:
        if alpha != 0:
            raise ValueError(f"alpha is {alpha:g} and there are no labels for it to weigh")
        return None
    return Labels(flat_labels(labels, mask, rows), alpha)


def flat_labels(labels: Tensor, mask: Tensor | None, rows: int) -> Tensor:
    """Labels [...] → [N, 1], those of the mask alone."""
    flat = labels.flatten() if mask is None else labels[mask]
    same_rows(rows, labels=len(flat))
    return flat[:, None]


def as_autocast(hidden: Tensor, head: Head) -> tuple[Tensor, Head]:
    """Both in the precision that a linear layer would compute in here; 64 bits stay, as they do there."""
    device = hidden.device.type
    if not torch.is_autocast_enabled(device) or hidden.dtype is torch.float64:
        return hidden, head
    dtype = torch.get_autocast_dtype(device)
    return hidden.to(dtype), head.to(dtype)
