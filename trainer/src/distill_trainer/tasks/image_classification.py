"""One label for each image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from distill_api.contract import TrainerConfig
from distill_api.training import Objective, Task, Training
from distill_trainer import data
from distill_trainer.data import DataSet, Description
from distill_trainer.evaluate import BATCH
from distill_trainer.judging import ClassJudge
from distill_trainer.losses import Combined, TermPlan, build_objective
from distill_trainer.models import Signature
from distill_trainer.tasks.kit import Sources


class ImageClassification:
    """Images [B, C, H, W] in [0, 1] → one of the classes."""

    pipeline = "image-classification"
    hub_task = "image-classification"
    library = "transformers"
    usage = "from transformers import AutoModel\n\nmodel = AutoModel.from_pretrained(FOLDER)"
    rows_are = "samples"
    agreeing = "predict the same class"
    classes_have_names = True
    fuses = False
    judge = ClassJudge()

    def describe(self, config: TrainerConfig, sources: Sources) -> Description:  # noqa: ARG002
        """See TaskKit."""
        return data.describe(config.dataset, seed=config.training.seed)

    def load(self, config: TrainerConfig, sources: Sources) -> DataSet:  # noqa: ARG002
        """See TaskKit."""
        return data.load(config.dataset, seed=config.training.seed)

    def signature(self, data: Description) -> Signature:
        """See TaskKit."""
        return Signature(Task.IMAGE_CLASSIFICATION, len(data.classes), data.shape, data.classes)

    def samples_are(self, data: Description) -> str:
        """See TaskKit."""
        channels, height, width = data.shape or (0, 0, 0)
        return f"{height}×{width}, {channels} channel{'s' if channels > 1 else ''}"

    def objective(self, objective: Objective, plans: Sequence[TermPlan]) -> Combined:
        """α·CE + (1−α)·Σ wᵢ·Lᵢ; a row of the losses is an image."""
        return build_objective(objective.alpha, plans)

    def example(self, signature: Signature, batch: int, device: torch.device) -> Tensor:
        """A grey batch."""
        return torch.full((batch, *(signature.shape or ())), 0.5, device=device)

    def fits(self, logits: Tensor, signature: Signature, batch: int) -> bool:
        """See TaskKit."""
        return tuple(logits.shape) == (batch, signature.classes)

    def evaluation_batch(self, training: Training) -> int:  # noqa: ARG002
        """See TaskKit."""
        return BATCH

    def described(self, signature: Signature) -> str:
        """See TaskKit."""
        return f"{signature.classes:,} classes"

    def warnings(self, config: TrainerConfig, sources: Sources, signature: Signature) -> Iterable[str]:  # noqa: ARG002
        """None beside those of every task."""
        return ()

    def write(self, folder: Path, config: TrainerConfig, sources: Sources) -> None:
        """Nothing: the model's own files are all."""

    def reads(self, config: TrainerConfig, sources: Sources, data: Description | DataSet) -> dict[str, Any]:  # noqa: ARG002
        """Shape and range of the images."""
        return {"shape": list(data.shape or ()), "range": [0, 1]}
