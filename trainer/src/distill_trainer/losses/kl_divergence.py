"""Divergences between the teacher's softened distribution p and the student's q.

Forward: Hinton, Vinyals, Dean: Distilling the Knowledge in a Neural Network (arXiv 1503.02531), section 2.
Jensen–Shannon: Agarwal et al.: On-Policy Distillation of Language Models (GKD, arXiv 2306.13649), equation 1.
Skewed: Ko et al.: DistiLLM (arXiv 2402.03898), equation 3.

Every variant is multiplied by T², so that changing T leaves the size of the gradient, and is summed over classes. Where
only a part of the teacher's distribution is known (`sparse`), the classes are those that are known and all others as one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from distill_api.terms import KLVariant, Term
from distill_trainer.losses.rows import Count, mean_over_rows, valid_rows
from distill_trainer.losses.sparse import (
    SampledTeacher,
    SparseTeacher,
    TopKTeacher,
    categories,
    sampled_cross_entropy,
)
from distill_trainer.losses.term import LogitTerm, TermPlan

DEFAULT_BETA, DEFAULT_SKEW = 0.5, 0.1
_Divergence = Callable[[Tensor, Tensor], Tensor]
_Teacher = Tensor | TopKTeacher


def kl_divergence(
    student: Tensor,
    teacher: Tensor | SparseTeacher,
    temperature: float,
    *,
    mask: Tensor | None = None,
    count: Count = None,
) -> Tensor:
    """T² · KL(softmax(z_t/T) ‖ softmax(z_s/T)), summed over classes, mean over rows. Logits [..., C]; nats.

    ∂L/∂z_s = T(q − p)/N, and for T → ∞ the loss goes to ‖z̄_s − z̄_t‖²/(2C) on zero-mean logits. It is 0 with zero
    gradient where both are equal.
    """
    return mean_over_rows(kl_rows(student, teacher, temperature, mask), count) * temperature**2


def kl_rows(
    student: Tensor, teacher: Tensor | SparseTeacher, temperature: float, mask: Tensor | None = None
) -> Tensor:
    """KL of the softened distributions of each row, [N]; in expectation where the teacher's classes were drawn."""
    if isinstance(teacher, SampledTeacher):
        return sampled_cross_entropy(student, teacher, temperature, mask) - teacher.entropy
    return _kl(*softened(student, teacher, temperature, mask))


def reverse_kl(
    student: Tensor, teacher: _Teacher, temperature: float, *, mask: Tensor | None = None, count: Count = None
) -> Tensor:
    """T² · KL(q ‖ p): the student is punished for what the teacher finds unlikely, and may leave modes out."""
    return _softened(lambda p, q: _kl(q, p), student, teacher, temperature, mask, count)


def jensen_shannon(
    student: Tensor,
    teacher: _Teacher,
    temperature: float,
    *,
    beta: float = DEFAULT_BETA,
    mask: Tensor | None = None,
    count: Count = None,
) -> Tensor:
    """T² · (β·KL(p ‖ M) + (1−β)·KL(q ‖ M)) with M = βp + (1−β)q, mixed as probabilities.

    Continuous in β and exactly 0 at both ends, where nothing would be learnt: they raise ValueError.
    """
    if not 0 < beta < 1:
        raise ValueError(f"beta is {beta:g}: at 0 and 1 this loss is 0 everywhere; use Forward or Reverse")
    return _softened(partial(_jensen_shannon, beta=beta), student, teacher, temperature, mask, count)


def skewed_kl(
    student: Tensor,
    teacher: _Teacher,
    temperature: float,
    *,
    skew: float = DEFAULT_SKEW,
    mask: Tensor | None = None,
    count: Count = None,
) -> Tensor:
    """T² · KL(p ‖ λp + (1−λ)q): bounded by −log λ, so that a student far away gives no huge gradient."""

    def divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
        return _kl(log_p, _mixture(log_p, log_q, skew))

    return _softened(divergence, student, teacher, temperature, mask, count)


class KLDivergenceTerm(LogitTerm):
    """The variant that the term names."""

    @classmethod
    def of(cls, plan: TermPlan) -> KLDivergenceTerm:
        """From the API's term."""
        return cls(variant_of(plan.term), plan.temperature)


def variant_of(term: Term) -> Callable[..., Tensor]:
    """The divergence that the term names, with its β or λ: (student, teacher, temperature) → a scalar."""
    return _VARIANTS[term.variant or KLVariant.FORWARD](term)


_VARIANTS: dict[KLVariant, Callable[[Term], Callable[..., Tensor]]] = {
    KLVariant.FORWARD: lambda _: kl_divergence,
    KLVariant.REVERSE: lambda _: reverse_kl,
    KLVariant.JENSEN_SHANNON: lambda term: partial(
        jensen_shannon, beta=DEFAULT_BETA if term.beta is None else term.beta
    ),
    KLVariant.SKEWED: lambda term: partial(skewed_kl, skew=DEFAULT_SKEW if term.skew is None else term.skew),
}


def _softened(
    divergence: _Divergence,
    student: Tensor,
    teacher: _Teacher,
    temperature: float,
    mask: Tensor | None,
    count: Count,
) -> Tensor:
    log_p, log_q = softened(student, teacher, temperature, mask)
    return mean_over_rows(divergence(log_p, log_q), count) * temperature**2


def softened(
    student: Tensor, teacher: _Teacher, temperature: float, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Log-probabilities of teacher and student at T, [N, C] each, or [N, K + 1] where K of the teacher's are known."""
    if isinstance(teacher, TopKTeacher):
        return categories(student, teacher, temperature, mask)
    z_s, z_t = valid_rows(student, teacher, mask)
    if temperature != 1:  # on a batch of a small student each operation counts
        z_s, z_t = z_s / temperature, z_t / temperature
    return F.log_softmax(z_t, dim=-1), F.log_softmax(z_s, dim=-1)


def _kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p ‖ q) of each row; the logarithms are subtracted first, which keeps the digits of a small difference."""
    return F.kl_div(log_q, log_p, reduction="none", log_target=True).sum(dim=-1)


def _jensen_shannon(log_p: Tensor, log_q: Tensor, *, beta: float) -> Tensor:
    log_m = _mixture(log_p, log_q, beta)
    return beta * _kl(log_p, log_m) + (1 - beta) * _kl(log_q, log_m)


def _mixture(log_p: Tensor, log_q: Tensor, share: float) -> Tensor:
    """log(share·p + (1−share)·q)."""
    return torch.logaddexp(log_p + math.log(share), log_q + math.log1p(-share))
