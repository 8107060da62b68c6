"""Samples in the order of the teacher's confidence in their labels. Pure, given what the teacher says.

The score is the teacher's own cross-entropy with the label, as in Hacohen, Weinshall (arXiv 1904.03626), definition 1: a
sample that the teacher is sure of and the label contradicts is hard, however sure the teacher is.
"""

from __future__ import annotations

import torch
from torch import Tensor

from distill_api.curriculum import Order
from distill_trainer.losses import Outputs
from distill_trainer.losses.precision import at_least_float32
from distill_trainer.losses.rows import flat_rows


@torch.no_grad()
def label_log_probability(said: Outputs, labels: Tensor, mask: Tensor | None, columns: int) -> Tensor:
    """Log-probability of the label, mean over a sample's rows that count; float64 [B] on the CPU. −∞ where none counts.

    Labels int64 [B] or [B, L], with a mask of their shape; whole logits [..., C], or what goes into the last layer, of which
    the first `columns` stand for something.
    """
    counts = torch.ones_like(labels, dtype=torch.bool) if mask is None else mask
    log_p = at_least_float32(_row_logits(said, mask)[:, :columns]).log_softmax(dim=-1)
    rows = log_p.gather(-1, labels[counts][:, None])[:, 0].double().cpu()
    counted = counts.cpu()
    sample = torch.arange(len(labels))[(..., *(None,) * (labels.dim() - 1))].expand(labels.shape)[counted]
    sums = torch.zeros(len(labels), dtype=torch.float64).index_add_(0, sample, rows)
    number = counted.flatten(1).sum(dim=1) if labels.dim() > 1 else counted.long()
    return torch.where(number > 0, sums / number.clamp(min=1), -torch.inf)


def in_order(scores: Tensor, classes: Tensor, order: Order) -> Tensor:
    """Places [N], the easiest first, or the hardest; every class spread evenly over them. Scores [N], classes int64 [N].

    Sorted as a whole, the first share could hold few classes. Equal scores stay in the order of the data.
    """
    keys = scores if order is Order.HARD_TO_EASY else -scores
    within = torch.empty(len(scores), dtype=torch.float64)
    for value in sorted(set(classes.tolist())):
        places = (classes == value).nonzero()[:, 0]
        ranks = torch.empty(len(places), dtype=torch.float64)
        ranks[keys[places].argsort(stable=True)] = torch.arange(len(places), dtype=torch.float64)
        within[places] = (ranks + 0.5) / len(places)
    return within.argsort(stable=True)


def _row_logits(said: Outputs, mask: Tensor | None) -> Tensor:
    """Logits [N, C] of the rows that count."""
    own = said.unprojected
    if own is None:
        return flat_rows(said.logits, mask)
    states = own.states
    logits = own.head.project(states, states.new_empty(len(states), own.head.columns))
    own.head.cap_(logits)
    return logits
