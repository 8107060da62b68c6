"""One label for each image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from distill_api.sources import Dataset
from distill_api.training import Objective
from distill_trainer import data
from distill_trainer.data import DataSet, Description
from distill_trainer.losses import Combined, TermPlan, build_objective
from distill_trainer.models import Shape


class ImageClassification:
    """Images [B, C, H, W] in [0, 1] → one of the classes."""

    def describe(self, dataset: Dataset, *, seed: int) -> Description:
        """See TaskKit."""
        return data.describe(dataset, seed=seed)

    def load(self, dataset: Dataset, *, seed: int) -> DataSet:
        """See TaskKit."""
        return data.load(dataset, seed=seed)

    def objective(self, objective: Objective, plans: Sequence[TermPlan]) -> Combined:
        """α·CE + (1−α)·Σ wᵢ·Lᵢ; a row of the losses is an image."""
        return build_objective(objective.alpha, plans)

    def example(self, shape: Shape, batch: int, device: torch.device) -> Tensor:
        """A grey batch."""
        return torch.full((batch, *shape), 0.5, device=device)
