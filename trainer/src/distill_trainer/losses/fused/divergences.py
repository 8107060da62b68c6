"""Divergences of a block of rows with their gradient, in place: the equations of `losses.kl_divergence`, chunk by chunk.

A further one is a function of this file: it is given log p, p, log q and q of the block, returns its value for each row
and leaves in log q the gradient with respect to the student's logits (softened, u = z/T). Where D depends on q through
f = ∂D/∂q, that gradient is q · (f − Σ q f): `_through_softmax_`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from distill_api.terms import KLVariant, Term, TermType
from distill_trainer.losses.kl_divergence import DEFAULT_BETA, DEFAULT_SKEW


@dataclass(frozen=True)
class Softened:
    """One block [R, C] at T, all work tensors: `q` must be kept, `log_q` ends as the gradient, the rest may be used up."""

    log_p: Tensor
    p: Tensor
    log_q: Tensor
    q: Tensor
    spare: Tensor


Divergence = Callable[[Softened], Tensor]
"""Values of the rows, [R, 1]; see the module."""


def forward(block: Softened) -> Tensor:
    """KL(p ‖ q); gradient q − p."""
    # Subtracted before they are summed: Σ p log p − Σ p log q would lose the digits of a small difference.
    value = _dot_(block.log_p.sub_(block.log_q), block.p)
    torch.sub(block.q, block.p, out=block.log_q)
    return value


def soft_targets(block: Softened) -> Tensor:
    """−Σ p log q, the cross-entropy with soft targets; gradient q − p."""
    value = -_dot_(block.log_q, block.p)
    torch.sub(block.q, block.p, out=block.log_q)
    return value


def reverse(block: Softened) -> Tensor:
    """KL(q ‖ p); f = log q − log p + 1."""
    return _through_softmax_(block.log_q.sub_(block.log_p), block)


def jensen_shannon(block: Softened, *, beta: float) -> Tensor:
    """β·KL(p ‖ M) + (1−β)·KL(q ‖ M), M = βp + (1−β)q; f = (1−β)·log(q/M), what else there is cancels.

    Raises ValueError at the ends of β, where this is 0 everywhere.
    """
    if not 0 < beta < 1:
        raise ValueError(f"beta is {beta:g}: at 0 and 1 this loss is 0 everywhere; use Forward or Reverse")
    log_m = _log_mixture(block, beta)
    teachers = _dot_(block.log_p.sub_(log_m), block.p)
    students = _through_softmax_(block.log_q.sub_(log_m).mul_(1 - beta), block)
    return beta * teachers + students


def skewed(block: Softened, *, skew: float) -> Tensor:
    """KL(p ‖ M), M = λp + (1−λ)q; f = −(1−λ)·p/M."""
    difference = block.log_p.sub_(_log_mixture(block, skew))
    torch.exp(difference, out=block.log_q).mul_(skew - 1)
    value = _dot_(difference, block.p)
    _through_softmax_(block.log_q, block)
    return value


def divergence_of(term: Term) -> Divergence:
    """What a term of the API names. Raises KeyError for other types than KLDivergence and SoftTargetCrossEntropy."""
    if term.type is TermType.SOFT_TARGET_CROSS_ENTROPY:
        return soft_targets
    if term.type is not TermType.KL_DIVERGENCE:
        raise KeyError(term.type)
    variants: dict[KLVariant, Divergence] = {
        KLVariant.FORWARD: forward,
        KLVariant.REVERSE: reverse,
        KLVariant.JENSEN_SHANNON: partial(
            jensen_shannon, beta=DEFAULT_BETA if term.beta is None else term.beta
        ),
        KLVariant.SKEWED: partial(skewed, skew=DEFAULT_SKEW if term.skew is None else term.skew),
    }
    return variants[term.variant or KLVariant.FORWARD]


def softmax_into(probabilities: Tensor, logits: Tensor) -> Tensor:
    """Fill `probabilities` [R, C] with the softmax of `logits`. Returns log Σ exp, [R, 1], without a second exponential."""
    torch.softmax(logits, dim=-1, out=probabilities)
    # The greatest probability is 1/Σ exp(z − max z).
    return logits.amax(dim=-1, keepdim=True) - probabilities.amax(dim=-1, keepdim=True).log_()


def soften_(logits: Tensor, temperature: float, probabilities: Tensor) -> None:
    """Logits [R, C] become log-probabilities at T in place, and `probabilities` is filled."""
    if temperature != 1:
        logits.div_(temperature)
    logits.sub_(softmax_into(probabilities, logits))


def _dot_(values: Tensor, weights: Tensor) -> Tensor:
    """Σ values · weights of each row, [R, 1]; uses `values` up."""
    return values.mul_(weights).sum(dim=-1, keepdim=True)


def _through_softmax_(f: Tensor, block: Softened) -> Tensor:
    """f, which is log_q's memory, becomes q · (f − Σ q f). Returns Σ q f."""
    mean = torch.mul(f, block.q, out=block.log_p).sum(dim=-1, keepdim=True)
    f.sub_(mean).mul_(block.q)
    return mean


def _log_mixture(block: Softened, share: float) -> Tensor:
    """log(share·p + (1−share)·q) in `spare`; where both are 0 some finite number, which both then weigh with 0."""
    torch.mul(block.p, share, out=block.spare).add_(block.q, alpha=1 - share)
    return block.spare.clamp_(min=torch.finfo(block.spare.dtype).tiny).log_()
