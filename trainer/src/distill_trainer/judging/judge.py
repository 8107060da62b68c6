"""The interface of a kind of output, and what comes of judging it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from distill_api.training import Evaluation, Metric
from distill_trainer.data import Split
from distill_trainer.evaluate import BATCH, Judged
from distill_trainer.metrics import Comparison
from distill_trainer.pairwise import Vectors
from distill_trainer.stop import StopSignal


@dataclass(frozen=True)
class Reading:
    """A split and how models are shown it; `stop` ends it early with Disrupted."""

    split: Split
    device: torch.device
    stop: StopSignal
    batch_size: int = BATCH


class Validation(Protocol):
    """What the loop asks after each epoch."""

    @property
    def metric(self) -> Metric:
        """What is measured."""

    @property
    def teacher(self) -> float:
        """The teacher's value on the same samples."""

    def score(self, student: nn.Module) -> float:
        """The student's value. Raises Disrupted when asked to stop."""


@dataclass(frozen=True)
class Figures:
    """What is known of one model beside the metric; None where the task has no such figure."""

    calibration_error: float | None = None
    perplexity: float | None = None


@dataclass(frozen=True)
class Embedded:
    """Embeddings of test samples by both models, float32 [N, D] each; `samples` int64 [N] are their places in the split."""

    samples: NDArray[np.int64]
    teacher: Vectors
    student: Vectors


@dataclass(frozen=True)
class Examined:
    """Both models on the test split. `judged` is what the report shows; `samples` were measured on."""

    judged: Judged | Embedded
    comparison: Comparison
    teacher: Figures
    student: Figures
    samples: int


class Judge(Protocol):
    """One kind of output."""

    def validation(self, teacher: nn.Module, reading: Reading, metric: Metric) -> Validation:
        """The validation, with the teacher seen once. Raises Disrupted."""

    def examine(
        self, teacher: nn.Module, student: nn.Module, reading: Reading, evaluation: Evaluation, seed: int
    ) -> Examined:
        """Both on the same batches; `seed` draws the bootstrap. Raises Disrupted."""
