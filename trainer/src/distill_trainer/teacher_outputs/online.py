"""The teacher in the same process, on the same device: nothing stored, right for any augmentation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Online:
    """Runs the teacher on each batch. The teacher never moves: eval mode, no gradient, its statistics frozen."""

    def __init__(self, teacher: nn.Module) -> None:
        self._teacher = teacher.eval().requires_grad_(requires_grad=False)

    def logits(self, ids: Sequence[str], images: Tensor) -> Tensor:  # noqa: ARG002  (a store needs the ids)
        """Logits [B, C]. `clone` makes an ordinary tensor of the inference one, which autograd could not save."""
        with torch.inference_mode():
            outputs = self._teacher(images)
        logits: Tensor = outputs.clone()
        return logits
