"""The interface of a task, written once so that loop, check and evaluation are the same for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from distill_api.contract import TrainerConfig
from distill_api.training import Objective, Training
from distill_trainer.batch import Inputs
from distill_trainer.data import DataSet, Description
from distill_trainer.losses import Combined, TermPlan
from distill_trainer.models import ModelSource, Signature


@dataclass(frozen=True)
class Sources:
    """Where both models come from. Text is read with the tokenizer that they share."""

    teacher: ModelSource
    student: ModelSource


class TaskKit(Protocol):
    """One task."""

    def describe(self, config: TrainerConfig, sources: Sources) -> Description:
        """Classes, shape and sizes without reading the samples, where that is possible. Raises UserError."""

    def load(self, config: TrainerConfig, sources: Sources) -> DataSet:
        """The data, split. Raises UserError."""

    def signature(self, data: Description) -> Signature:
        """What the networks have to take and give for this data."""

    def samples_are(self, data: Description) -> str:
        """What one sample is, for sentences: `8×8, 1 channel`."""

    def objective(self, objective: Objective, plans: Sequence[TermPlan]) -> Combined:
        """The loss, from the terms that the contract check planned."""

    def example(self, signature: Signature, batch: int, device: torch.device) -> Inputs:
        """Inputs of the right shape and any content: for the check's forward pass and for latency."""

    def fits(self, logits: Tensor, signature: Signature, batch: int) -> bool:
        """Whether a network's output for `example` has the shape that the task asks for."""

    def evaluation_batch(self, training: Training) -> int:
        """How many samples are predicted at once."""

    def write(self, folder: Path, config: TrainerConfig, sources: Sources) -> None:
        """Write what the server needs beside the model, as a tokenizer."""

    def reads(self, config: TrainerConfig, sources: Sources, data: Description | DataSet) -> dict[str, Any]:
        """`input` of student.json: how the student is to be shown samples; see `distill_trainer.student`."""
