"""The objective of the API on hidden states: the same numbers as `Combined`, and no logits over a whole vocabulary.

    α·CE + (1−α)·Σ wᵢ·Lᵢ  =  s·(α′·CE + (1−α′)·L) + (1−α)·Σ wⱼ·Lⱼ   with s = α + (1−α)·w, α′ = α/s

L is the one term over logits, which is fused with the labels' loss; the Lⱼ look at layers alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from distill_api.terms import TermType
from distill_trainer.losses.combined import Combined, LossParts
from distill_trainer.losses.fused.divergences import Divergence, divergence_of
from distill_trainer.losses.fused.losses import chunked_cross_entropy, fused_kl, fused_topk_kl
from distill_trainer.losses.rows import flat_rows
from distill_trainer.losses.sparse import TopKTeacher
from distill_trainer.losses.term import LOGITS, Outputs, Targets, TermPlan

FUSED_TYPES = (TermType.KL_DIVERGENCE, TermType.SOFT_TARGET_CROSS_ENTROPY)


class NotFused(ValueError):  # noqa: N818
    """The plain losses have to be taken; the message says why, as the end of a sentence."""


@dataclass(frozen=True)
class FusedTerm:
    """The term over logits, number `place` of the objective."""

    place: int
    divergence: Divergence


def fused_term(plans: Sequence[TermPlan]) -> FusedTerm | None:
    """The one term that looks at logits; None where all look at layers alone. Raises NotFused."""
    places = [place for place, plan in enumerate(plans) if sees_logits(plan)]
    for place in places:
        if plans[place].term.type not in FUSED_TYPES:
            raise NotFused(f"{plans[place].field} ({plans[place].term.type.value}) needs whole logits")
    if len(places) > 1:
        raise NotFused(f"{len(places)} of objective.terms look at logits, and one can be fused")
    if not places:
        return None
    plan = plans[places[0]]
    return FusedTerm(places[0], divergence_of(plan.term))


def sees_logits(plan: TermPlan) -> bool:
    """Whether a term looks at logits, and not at pairs of layers alone."""
    return not plan.pairs or any(LOGITS in {pair.teacher, pair.student} for pair in plan.pairs)


class FusedObjective(Combined):
    """`objective` for a student whose outputs are unprojected, against a teacher whose are, or K words of each row.

    `columns` are the words that exist; heads may be padded beyond them. Names, parameters and state are those of `objective`.
    """

    def __init__(self, objective: Combined, term: FusedTerm | None, columns: int) -> None:
        super().__init__(objective.alpha, objective.weighted)
        self._term = term
        self._columns = columns

    def forward(self, student: Outputs, teacher: Outputs, targets: Targets) -> LossParts:
        """Outputs of both for one batch → scalars averaged over rows; only `total` has a gradient."""
        place = None if self._term is None else self._term.place
        weighted = self.weighted
        weight = 0.0 if place is None else weighted[place].weight
        scale = self.alpha + (1 - self.alpha) * weight
        fused = self._fused(student, teacher, targets, self.alpha / scale if scale else 0.0)
        # Without a weight nothing of it may reach the parameters: a gradient of 0 would let weight decay move them.
        total = scale * fused.total if scale else torch.zeros_like(fused.total)
        distillation = weight * fused.distillation
        values: list[Tensor] = []
        for at, each in enumerate(weighted):
            if at == place:
                values.append(fused.distillation)
                continue
            values.append(each.term.compare(student, teacher, targets))
            total = total + (1 - self.alpha) * each.weight * values[-1]
            distillation = distillation + each.weight * values[-1]
        return LossParts(total, fused.task, distillation, tuple(values))

    def _fused(self, student: Outputs, teacher: Outputs, targets: Targets, alpha: float) -> LossParts:
        """α·CE + (1−α)·L of the rows that count, or CE alone where no term looks at logits."""
        own = student.unprojected
        assert own is not None  # noqa: S101 - the step makes the outputs that the objective asks for
        states, labels = flat_rows(own.states, targets.mask), targets.labels
        labels = labels.flatten() if targets.mask is None else labels[targets.mask]
        if self._term is None:
            return chunked_cross_entropy(states, own.head, labels, count=targets.count, columns=self._columns)
        if isinstance(teacher.sparse, TopKTeacher):
            loss = partial(fused_topk_kl, states, own.head, teacher.sparse)
        else:
            said = teacher.unprojected
            assert said is not None  # noqa: S101 - as the student's
            loss = partial(fused_kl, states, own.head, said.states, said.head)
        temperature = self.weighted[self._term.place].term.temperature
        assert temperature is not None  # noqa: S101 - of every type that is fused
        return loss(
            temperature,
            divergence=self._term.divergence,
            labels=labels,
            alpha=alpha,
            count=targets.count,
            columns=self._columns,
        )
