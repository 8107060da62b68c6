"""What a training is made of, and what comes of it. Filled in by `run`, used by the loop and its helpers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from distill_api.curriculum import Curriculum
from distill_api.training import Training
from distill_trainer.batch import Batch
from distill_trainer.curriculum import Course, timetable
from distill_trainer.curriculum.pacing import samples_of
from distill_trainer.data import DataSet
from distill_trainer.judging import Validation
from distill_trainer.last_layer import LastLayer
from distill_trainer.losses import Combined, Targets
from distill_trainer.order import own_parts
from distill_trainer.ranks import Ranks
from distill_trainer.sharding import is_sharded
from distill_trainer.snapshot import Best, EpochRecord
from distill_trainer.step import Example
from distill_trainer.teacher_outputs import TeacherOutputs


@dataclass(frozen=True)
class StagePart:
    """A stage of the curriculum with its objective."""

    name: str
    epochs: int
    objective: Combined


@dataclass(frozen=True)
class Parts:
    """What a training is made of. `objective` is that of the stage that runs; `stages` are empty where it is the only one."""

    student: nn.Module
    teacher: TeacherOutputs
    objective: Combined
    data: DataSet
    training: Training
    validation: Validation
    device: torch.device
    ranks: Ranks = Ranks()  # noqa: RUF009 - frozen
    curriculum: Curriculum | None = None
    last_layer: LastLayer | None = None
    """The student's, where the objective is one of hidden states."""
    stages: tuple[StagePart, ...] = ()

    @property
    def objectives(self) -> tuple[Combined, ...]:
        """Those of all stages."""
        return tuple(stage.objective for stage in self.stages) or (self.objective,)


@dataclass(frozen=True)
class Trained:
    """The end of a training: the best epoch is in the student already. `says` is what was out of the ordinary."""

    history: tuple[EpochRecord, ...]
    best: Best
    says: tuple[str, ...] = ()


def course(parts: Parts) -> Course:
    """The way that the training takes."""
    training, names = parts.training, tuple(stage.name for stage in parts.stages)
    epochs = [stage.epochs for stage in parts.stages] or [training.epochs]
    sampling = parts.curriculum.sampling if parts.curriculum else None
    samples = [samples_of(epoch + 1, sampling, len(parts.data.train)) for epoch in range(sum(epochs))]
    table = timetable(epochs, samples, training.batch_size)
    return Course(table, training, parts.curriculum, names)


def examples(parts: Parts, indices: Tensor, smallest: int) -> list[Example]:
    """The micro-batches of a step that this process takes, with the counts of the whole step.

    A mean of the micro-batches' means would weigh a row the more, the fewer there are beside it.
    """
    ranks, training = parts.ranks, parts.training
    mine = own_parts(
        indices,
        training.gradient_accumulation,
        smallest=smallest,
        rank=ranks.rank,
        world=ranks.world,
    )
    batches = [parts.data.train.batch(part) for part in mine]
    rows = max(ranks.total(sum(_rows(batch) for batch in batches)), 1.0)
    # Before the first pass of the teacher, which may be sharded too: those who wait here would miss it.
    idles = is_sharded(parts.student) and len(batches) < ranks.most(len(batches))
    found = [_example(parts, batch, rows, len(indices)) for batch in batches]
    if idles:
        idle = parts.data.train.batch(indices[:smallest])
        found.append(replace(_example(parts, idle, rows, len(indices)), idle=True))
    return found


def smallest_part(student: nn.Module) -> int:
    """Samples that a micro-batch needs: batch normalization takes a variance."""
    return 2 if has_batch_norm(student) else 1


def has_batch_norm(network: nn.Module) -> bool:
    """Whether samples of a batch see each other through statistics that are taken over it."""
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())  # noqa: SLF001


def _rows(batch: Batch) -> float:
    return float(batch.labels.numel() if batch.mask is None else batch.mask.sum().item())


def _example(parts: Parts, batch: Batch, rows: float, samples: int) -> Example:
    there = batch.to(parts.device)
    targets = Targets(
        there.labels,
        rows=there.rows,
        mask=there.mask,
        count=rows,
        tokens=there.tokens,
        samples=float(samples),
        share=len(batch) / samples,
    )
    return Example(there.inputs, parts.teacher.outputs(there), targets)
