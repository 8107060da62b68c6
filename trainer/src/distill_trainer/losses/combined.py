"""The objective of the API: hard labels and teacher, weighed by α."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from distill_trainer.losses.cross_entropy import cross_entropy
from distill_trainer.losses.kl_divergence import kl_divergence


class LossParts(NamedTuple):
    """The loss and what it is made of; scalars."""

    total: Tensor
    task: Tensor
    distillation: Tensor


@dataclass(frozen=True)
class Combined:
    """L = α · CE(z_s, labels) + (1 − α) · T² · KL(softmax(z_t/T) ‖ softmax(z_s/T))."""

    alpha: float
    temperature: float

    def __call__(self, student: Tensor, teacher: Tensor, labels: Tensor) -> LossParts:
        """Logits [B, C] of both and labels int64 [B] → scalars averaged over rows."""
        task = cross_entropy(student, labels)
        distillation = kl_divergence(student, teacher, self.temperature)
        return LossParts(self.alpha * task + (1 - self.alpha) * distillation, task, distillation)
