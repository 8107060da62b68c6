"""The trainer's own loop without the job around it: for teachers, which learn from labels alone, and for benchmarks."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from distill_api.training import Metric, Objective, Training
from distill_trainer import models
from distill_trainer.batch import Batch, any_tensor
from distill_trainer.checkpoint import CheckpointStore, Identity
from distill_trainer.data import DataSet, Split
from distill_trainer.evaluate import predict
from distill_trainer.judging import ClassValidation, Reading
from distill_trainer.loop import Trainer
from distill_trainer.losses import Outputs, kl_objective
from distill_trainer.metrics import score
from distill_trainer.parts import Parts
from distill_trainer.progress import ProgressBoard
from distill_trainer.snapshot import Snapshot
from distill_trainer.stop import StopSignal
from distill_trainer.teacher_outputs import TeacherOutputs


class LabelsAlone:
    """In a teacher's place where there is none: logits that the objective gives no weight."""

    def __init__(self, classes: int) -> None:
        self._classes = classes

    def outputs(self, batch: Batch) -> Outputs:
        """Zeros [B, classes]."""
        return Outputs(any_tensor(batch.inputs).new_zeros(len(batch), self._classes))


class NoCheckpoints(CheckpointStore):
    """Nothing is kept: a run of seconds begins anew, and its files would cost more than its steps."""

    def __init__(self, dataset: str) -> None:
        super().__init__(Path(), Identity("fit", dataset, "fit"))

    def latest(self) -> None:
        """There is none."""
        return

    def save(self, snapshot: Snapshot) -> Path:  # noqa: ARG002
        """Not written."""
        return self.folder


def new_network(network: str, data: DataSet, *, seed: int) -> nn.Module:
    """A builtin network for the data; its parameters depend on the seed alone."""
    torch.manual_seed(seed)
    return models.builtin_network(network, shape=data.shape or (0, 0, 0), classes=len(data.classes))


def fit(
    network: nn.Module,
    data: DataSet,
    training: Training,
    objective: Objective,
    teacher: TeacherOutputs | None = None,
    *,
    stop: StopSignal | None = None,
) -> nn.Module:
    """Train `network` in place, its best epoch by validation kept; with labels alone where there is no teacher.

    Of the objective α and T count: a benchmark's term is KLDivergence.

    Raises Diverged, and Disrupted when `stop` is asked for.
    """
    alone = teacher is None
    reading = Reading(data.validation, torch.device("cpu"), stop or StopSignal())
    parts = Parts(
        student=network,
        teacher=teacher or LabelsAlone(len(data.classes)),
        objective=kl_objective(1.0 if alone else objective.alpha, objective.temperature),
        data=data,
        training=training,
        validation=ClassValidation(reading, Metric.ACCURACY, teacher=0.0),
        device=reading.device,
    )
    Trainer(parts, NoCheckpoints(data.digest), ProgressBoard(), reading.stop).run()
    return network


def accuracy(network: nn.Module, split: Split) -> float:
    """Share of the split's samples that the network gets right."""
    judged = predict([network], split, torch.device("cpu"), StopSignal())
    return score(Metric.ACCURACY, judged.models[0].classes, judged.labels)
