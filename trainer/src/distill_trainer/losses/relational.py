"""Relational distillation: distances and angles between the samples of a batch, whatever the space they lie in.

Park, Kim, Lu, Cho: Relational Knowledge Distillation (arXiv 1904.05068), equations 4 to 9.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from distill_trainer.losses.embedding import embedding
from distill_trainer.losses.safe_root import safe_root
from distill_trainer.losses.term import LOGITS, Outputs, PlannedPair, Targets, TermPlan
from distill_trainer.losses.whole_step import ComparingTerm

DEFAULT_DISTANCE, DEFAULT_ANGLE = 1.0, 2.0


def relational(
    student: Tensor,
    teacher: Tensor,
    *,
    distance: float = DEFAULT_DISTANCE,
    angle: float = DEFAULT_ANGLE,
    tokens: Tensor | None = None,
) -> Tensor:
    """Embeddings [B, D_s] and [B, D_t], or layers that `embedding` makes such of → distance·L_D + angle·L_A, each a mean Huber loss with δ = 1.

    Time and memory grow with B²·D for distances and B²·(B + D) for angles. It compares samples with each other, so
    a batch that one process cuts into parts has fewer pairs.
    """
    s, t = embedding(student, tokens), embedding(teacher.detach(), tokens)
    loss = s.sum() * 0.0  # a batch of one has neither pairs nor triplets: 0, with a gradient of 0
    if distance:
        loss = loss + distance * distance_loss(s, t)
    return loss + angle * angle_loss(s, t) if angle else loss


def distance_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Huber of ‖x_i − x_j‖/μ of both, mean over pairs i ≠ j; μ is the mean distance over the same pairs."""
    pairs = _distinct_pairs(len(student), student.device)
    if not pairs.any():
        return student.sum() * 0.0
    return F.smooth_l1_loss(_relative_distances(student)[pairs], _relative_distances(teacher)[pairs])


def angle_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Huber of the cosines ∠(x_i, x_j, x_k) of both, mean over triplets whose sides are all longer than 0 in both."""
    (cos_s, sides_s), (cos_t, sides_t) = _cosines(student), _cosines(teacher)
    sides = sides_s & sides_t
    triplets = sides[:, :, None] & sides[:, None, :] & sides[None, :, :]  # [j, i, k]: sides ji, jk and ik
    if not triplets.any():
        return student.sum() * 0.0
    return F.smooth_l1_loss(cos_s[triplets], cos_t[triplets])


def _distances(points: Tensor) -> tuple[Tensor, Tensor]:
    """[B, D] → differences x_i − x_j [B, B, D] and their lengths [B, B]; equal points are exactly 0 apart."""
    differences = points[:, None] - points[None, :]
    return differences, safe_root(differences.square().sum(dim=-1))


def _relative_distances(points: Tensor) -> Tensor:
    _, lengths = _distances(points)
    count = len(points) * (len(points) - 1)
    mean = lengths.sum() / count
    return lengths / mean if mean > 0 else lengths


def _cosines(points: Tensor) -> tuple[Tensor, Tensor]:
    """cos of the angle at j between i and k, [j, i, k], and which sides are longer than 0, [B, B]."""
    differences, lengths = _distances(points)
    longer = lengths > 0
    directions = differences / lengths.where(longer, lengths.new_ones(()))[..., None]
    return torch.bmm(directions, directions.transpose(1, 2)), longer


def _distinct_pairs(size: int, device: torch.device) -> Tensor:
    return ~torch.eye(size, dtype=torch.bool, device=device)


class RelationalTerm(ComparingTerm):
    """On logits, or on one pair of layers."""

    def __init__(self, pairs: tuple[PlannedPair, ...], distance: float, angle: float) -> None:
        super().__init__(pairs)
        self._teacher, self._student = (pairs[0].teacher, pairs[0].student) if pairs else (LOGITS, LOGITS)
        self._distance, self._angle = distance, angle

    @classmethod
    def of(cls, plan: TermPlan) -> RelationalTerm:
        """From the API's term."""
        term = plan.term
        return cls(
            plan.pairs,
            DEFAULT_DISTANCE if term.distance is None else term.distance,
            DEFAULT_ANGLE if term.angle is None else term.angle,
        )

    def vectors(self, outputs: Outputs, targets: Targets, *, student: bool) -> Tensor:
        """See ComparingTerm."""
        return embedding(outputs.of(self._student if student else self._teacher), targets.tokens)

    def between(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See ComparingTerm."""
        return relational(student, teacher, distance=self._distance, angle=self._angle)
