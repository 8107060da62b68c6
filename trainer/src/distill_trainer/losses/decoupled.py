"""Decoupled knowledge distillation: the target class's share and the other classes' distribution, weighed apart.

Zhao, Cui, Song, Qiu, Liang: Decoupled Knowledge Distillation (arXiv 2203.08679), equation 7.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from distill_trainer.losses.rows import Count, mean_over_rows, valid_rows
from distill_trainer.losses.term import Outputs, Targets, TeacherTerm, TermPlan

DEFAULT_ALPHA, DEFAULT_BETA = 1.0, 8.0


def decoupled(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor,
    temperature: float,
    *,
    alpha: float = DEFAULT_ALPHA,
    beta: float = DEFAULT_BETA,
    mask: Tensor | None = None,
    count: Count = None,
) -> Tensor:
    """T² · (α·TCKD + β·NCKD), mean over rows. Logits [..., C], labels int64 [...]; nats.

    TCKD is the KL of (target, all others); NCKD the KL of the distributions among the others. Both from logsumexp: no
    large negative number masks the target, and no logarithm of a rounded-off probability is taken. Raises ValueError
    for fewer than three classes, whose others say nothing.
    """
    if student.shape[-1] < 3:
        raise ValueError(
            f"{student.shape[-1]} classes: the part of the other classes needs at least 2 of them"
        )
    z_s, z_t = valid_rows(student, teacher, mask)
    target = (labels.flatten() if mask is None else labels[mask])[:, None]
    binary_s, others_s = _decoupled(z_s / temperature, target)
    binary_t, others_t = _decoupled(z_t / temperature, target)
    per_row = alpha * _kl(binary_t, binary_s) + beta * _kl(others_t, others_s)
    return mean_over_rows(per_row, count) * temperature**2


def _decoupled(z: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Logits [N, C], target [N, 1] → log (p_target, 1 − p_target) [N, 2], log-softmax of the others [N, C−1]."""
    others = z[~torch.zeros_like(z, dtype=torch.bool).scatter(1, target, value=True)].view(len(z), -1)
    two = torch.stack([z.gather(1, target)[:, 0], others.logsumexp(dim=-1)], dim=-1)
    return F.log_softmax(two, dim=-1), F.log_softmax(others, dim=-1)


def _kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    return (log_p.exp() * (log_p - log_q)).sum(dim=-1)


class DecoupledTerm(TeacherTerm):
    """Needs the labels beside the logits."""

    def __init__(self, temperature: float, alpha: float, beta: float) -> None:
        super().__init__()
        self.temperature: float = temperature
        self._loss = partial(decoupled, alpha=alpha, beta=beta)

    @classmethod
    def of(cls, plan: TermPlan) -> DecoupledTerm:
        """From the API's term."""
        term = plan.term
        return cls(
            plan.temperature,
            DEFAULT_ALPHA if term.alpha is None else term.alpha,
            DEFAULT_BETA if term.beta is None else term.beta,
        )

    def compare(self, student: Outputs, teacher: Outputs, targets: Targets) -> Tensor:
        """See TeacherTerm."""
        return self._loss(
            student.logits,
            teacher.logits,
            targets.labels,
            self.temperature,
            mask=targets.mask,
            count=targets.count,
        )
