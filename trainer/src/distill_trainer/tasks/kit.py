"""The interface of a task, written once so that loop, check and evaluation are the same for all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from distill_api.sources import Dataset
from distill_api.training import Objective
from distill_trainer.data import DataSet, Description
from distill_trainer.losses import Combined, TermPlan
from distill_trainer.models import Shape


class TaskKit(Protocol):
    """One task."""

    def describe(self, dataset: Dataset, *, seed: int) -> Description:
        """Classes, shape and sizes without reading the samples, where that is possible. Raises UserError."""

    def load(self, dataset: Dataset, *, seed: int) -> DataSet:
        """The data, split. Raises UserError."""

    def objective(self, objective: Objective, plans: Sequence[TermPlan]) -> Combined:
        """The loss, from the terms that the contract check planned."""

    def example(self, shape: Shape, batch: int, device: torch.device) -> Tensor:
        """An input of the right shape and any content: for the check's forward pass and for latency."""
