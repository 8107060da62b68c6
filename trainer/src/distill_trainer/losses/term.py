"""What a term of the objective is to the training: a module that compares two models' outputs on one batch.

A term may learn (regressors, projections) and remember (a memory bank): parameters go to the optimizer, parameters and
buffers to the checkpoint, none of it to the student. The contract check plans terms; `losses.build_term` builds them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import Tensor, nn

from distill_api.terms import Projection, Term
from distill_trainer.losses.rows import Count
from distill_trainer.losses.sparse import SparseTeacher

if TYPE_CHECKING:  # the fused losses import this module
    from distill_trainer.losses.fused.head import Head

LOGITS = "logits"
"""Stands for the model's own output where a pair of layers could stand."""


@dataclass(frozen=True)
class Unprojected:
    """What goes into a model's last layer, and that layer: what logits would be made of.

    `states` are [..., H] of a student, and [N, H] of a teacher: those of the rows that count alone.
    """

    states: Tensor
    head: Head


@dataclass(frozen=True)
class Outputs:
    """What a model says of a batch: logits [..., C], and outputs of the layers that somebody asked for, by name.

    `sparse` stands in for the logits of a teacher of whose distribution only a part was stored, and `unprojected` for those
    of a model that are never made as a whole; `logits` are empty then.
    """

    logits: Tensor
    layers: Mapping[str, Tensor] = field(default_factory=dict)
    sparse: SparseTeacher | None = None
    unprojected: Unprojected | None = None

    def of(self, layer: str) -> Tensor:
        """The output of a layer, or the logits."""
        return self.logits if layer == LOGITS else self.layers[layer]


@dataclass(frozen=True)
class Targets:
    """What is known of the batch. Labels int64 [...]; `rows` are the samples' places in the training split, int64 [B].

    `mask` (bool [...]) leaves padding out and `count` is the number of rows of the whole step; see `losses.rows`.
    Terms over layers see whole sequences: `tokens` (bool [B, L]) is true where a token stands, labelled or not, and
    `samples` is the number of samples of the whole step, for tasks whose rows are not samples. `share` is the part of the
    step's samples that are here: losses that compare samples, and have no count to divide by, are weighed by it.
    """

    labels: Tensor
    rows: Tensor | None = None
    mask: Tensor | None = None
    count: Count = None
    tokens: Tensor | None = None
    samples: Count = None
    share: float = 1.0

    @property
    def sample_count(self) -> Count:
        """What a mean over samples divides by; where a sample is a row, their count is the same."""
        return self.count if self.samples is None and self.labels.dim() == 1 else self.samples


@dataclass(frozen=True)
class PlannedPair:
    """A pair of layers that exist, each with the shape of its output, batch left out.

    `heads` are those of attention layers, of whose projections a pair is made.
    """

    teacher: str
    student: str
    teacher_shape: tuple[int, ...]
    student_shape: tuple[int, ...]
    projection: Projection | None = None
    heads: int | None = None


@dataclass(frozen=True)
class TermPlan:
    """A term that was checked against both models. `temperature` is the one that holds; `samples` those of training.

    `follows` is true where that is the objective's temperature, which a curriculum may change. `field` is where it stands.
    """

    name: str
    term: Term
    temperature: float
    pairs: tuple[PlannedPair, ...] = ()
    samples: int = 0
    follows: bool = False
    field: str = "objective.terms[0]"


class TeacherTerm(nn.Module, ABC):
    """One Lᵢ. `pairs` are what it looks at beside the logits."""

    temperature: float | None = None
    """T, of terms that soften; a curriculum may set it before a step."""

    def __init__(self, pairs: Sequence[PlannedPair] = ()) -> None:
        super().__init__()
        self.pairs = tuple(pairs)

    @property
    def student_layers(self) -> tuple[str, ...]:
        """Names of the student's layers; the logits are no layer."""
        return tuple(pair.student for pair in self.pairs if pair.student != LOGITS)

    @property
    def teacher_layers(self) -> tuple[str, ...]:
        """Names of the teacher's layers."""
        return tuple(pair.teacher for pair in self.pairs if pair.teacher != LOGITS)

    @abstractmethod
    def compare(self, student: Outputs, teacher: Outputs, targets: Targets) -> Tensor:
        """The loss, a scalar that is not weighted yet."""


class LogitTerm(TeacherTerm):
    """A term that is a pure function of both logits, and of T where it has one."""

    def __init__(self, loss: Callable[..., Tensor], temperature: float | None = None) -> None:
        super().__init__()
        self._loss = loss
        self.temperature = temperature

    def compare(self, student: Outputs, teacher: Outputs, targets: Targets) -> Tensor:
        """See TeacherTerm."""
        said = teacher.logits if teacher.sparse is None else teacher.sparse
        softened = {} if self.temperature is None else {"temperature": self.temperature}
        return self._loss(student.logits, said, mask=targets.mask, count=targets.count, **softened)
