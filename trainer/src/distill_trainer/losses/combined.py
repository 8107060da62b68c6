"""The objective of the API: hard labels and teacher, weighed by α; the teacher's part is a weighted sum of terms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from distill_trainer.losses.cross_entropy import cross_entropy
from distill_trainer.losses.term import Outputs, Targets, TeacherTerm


@dataclass(frozen=True)
class LossParts:
    """The loss and what it is made of; scalars. `terms` are the Lᵢ, not weighted, in the order of the objective."""

    total: Tensor
    task: Tensor
    distillation: Tensor
    terms: tuple[Tensor, ...] = ()

    def detached(self) -> LossParts:
        """The same numbers without what a backward pass needs."""
        terms = tuple(term.detach() for term in self.terms)
        return LossParts(self.total.detach(), self.task.detach(), self.distillation.detach(), terms)

    def stacked(self) -> Tensor:
        """Total, task, distillation and each term as one float64 tensor [3 + terms]."""
        return torch.stack([self.total, self.task, self.distillation, *self.terms]).double()


def added(parts: Sequence[LossParts]) -> LossParts:
    """The loss of a step from those of its micro-batches, each of them divided by the count of the whole step."""
    first, *others = parts
    for part in others:
        terms = tuple(a + b for a, b in zip(first.terms, part.terms, strict=True))
        first = LossParts(
            first.total + part.total, first.task + part.task, first.distillation + part.distillation, terms
        )
    return first


@dataclass(frozen=True)
class Weighted:
    """A term with its weight wᵢ and the name that progress and report show; `follows` as in TermPlan."""

    name: str
    weight: float
    term: TeacherTerm
    follows: bool = False


class Combined(nn.Module):
    """L = α · CE(z_s, labels) + (1 − α) · Σ wᵢ · Lᵢ. α weighs the labels; frameworks disagree about that."""

    def __init__(self, alpha: float, terms: Sequence[Weighted], *, labelled: bool = True) -> None:
        """`labelled` is false where samples have no labels; α is 0 then."""
        super().__init__()
        self._labelled = labelled
        self.alpha = alpha
        self._weights = tuple(each.weight for each in terms)
        self._follows = tuple(each.follows for each in terms)
        self.names = tuple(each.name for each in terms)
        self.terms = nn.ModuleList(each.term for each in terms)

    @property
    def student_layers(self) -> tuple[str, ...]:
        """The layers of the student that the terms look at."""
        return tuple(dict.fromkeys(name for term in self._terms() for name in term.student_layers))

    @property
    def teacher_layers(self) -> tuple[str, ...]:
        """The layers of the teacher that the terms look at."""
        return tuple(dict.fromkeys(name for term in self._terms() for name in term.teacher_layers))

    def set(self, *, alpha: float | None = None, temperature: float | None = None) -> None:
        """Set α, and T of the terms that have none of their own; what is None stays."""
        if alpha is not None:
            self.alpha = alpha
        if temperature is not None:
            for term, follows in zip(self._terms(), self._follows, strict=True):
                if follows:
                    term.temperature = temperature

    @property
    def weighted(self) -> tuple[Weighted, ...]:
        """The terms with their names and weights."""
        found = zip(self.names, self._weights, self._terms(), self._follows, strict=True)
        return tuple(Weighted(*each) for each in found)

    def _terms(self) -> Iterator[TeacherTerm]:
        for term in self.terms:
            assert isinstance(term, TeacherTerm)  # noqa: S101 - ModuleList forgets the type
            yield term

    def forward(self, student: Outputs, teacher: Outputs, targets: Targets) -> LossParts:
        """Outputs of both for one batch → scalars averaged over rows."""
        task = self._task(student, targets)
        values = tuple(term.compare(student, teacher, targets) for term in self._terms())
        # As few operations as can be: on scalars each costs as much as on a whole batch of a small student.
        weighted = [
            value if weight == 1 else weight * value
            for weight, value in zip(self._weights, values, strict=True)
        ]
        distillation = sum(weighted[1:], start=weighted[0]) if weighted else torch.zeros_like(task)
        if self.alpha == 0:  # what no term reaches gets no gradient at all, and is left as it is
            return LossParts(distillation, task.detach(), distillation, values)
        total = torch.add((1 - self.alpha) * distillation, task, alpha=self.alpha)
        return LossParts(total, task, distillation, values)

    def _task(self, student: Outputs, targets: Targets) -> Tensor:
        if not self._labelled:
            return student.logits.new_zeros((), dtype=torch.float32)
        return cross_entropy(student.logits, targets.labels, mask=targets.mask, count=targets.count)
