"""The interface of a task, written once so that loop, check and evaluation are the same for all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from distill_api.contract import TrainerConfig
from distill_api.training import Objective, Training
from distill_trainer.batch import Inputs
from distill_trainer.data import DataSet, Description
from distill_trainer.judging import Judge
from distill_trainer.losses import Combined, TermPlan
from distill_trainer.models import ModelSource, Signature


@dataclass(frozen=True)
class Sources:
    """Where both models come from. Text is read with the tokenizer that they share."""

    teacher: ModelSource
    student: ModelSource


class TaskKit(Protocol):
    """One task. Plain attributes are words and choices that check, result, report and card ask for."""

    pipeline: str
    """What Transformers calls the task."""
    hub_task: str
    """What the hub calls it, where models are looked for and tried (https://huggingface.co/tasks)."""
    library: str
    """Which library reads a student's folder that Transformers wrote, as the hub calls it."""
    usage: str
    """Python that does so."""
    rows_are: str
    """What an output is given for, in the plural: samples, words …"""
    agreeing: str
    """What both models do where they agree: predict the same class …"""
    classes_have_names: bool
    """Whether outputs are classes of the data: heads are compared with them, and the report tells them apart."""
    fuses: bool
    """Whether logits are over a whole vocabulary, so that the losses are best made without holding them."""

    @property
    def judge(self) -> Judge:
        """How good outputs are."""

    def describe(self, config: TrainerConfig, sources: Sources) -> Description:
        """Classes, shape and sizes without reading the samples, where that is possible. Raises UserError."""

    def load(self, config: TrainerConfig, sources: Sources) -> DataSet:
        """The data, split. Raises UserError."""

    def signature(self, data: Description) -> Signature:
        """What the networks have to take and give for this data."""

    def samples_are(self, data: Description) -> str:
        """What one sample is, for sentences: `8×8, 1 channel`."""

    def described(self, signature: Signature) -> str:
        """What the networks give, for sentences: `10 classes`."""

    def warnings(self, config: TrainerConfig, sources: Sources, signature: Signature) -> Iterable[str]:
        """What is allowed and odd of this task, as sentences."""

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
