"""The teacher in the same process, on the same device: nothing stored, right for any augmentation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from distill_trainer.batch import Batch
from distill_trainer.layers import watch
from distill_trainer.losses import Outputs


class Online:
    """Runs the teacher on each batch. The teacher never moves: eval mode, no gradient, its statistics frozen."""

    def __init__(self, teacher: nn.Module, layers: Sequence[str] = ()) -> None:
        self._teacher = teacher.eval().requires_grad_(requires_grad=False)
        self._layers = tuple(layers)

    def outputs(self, batch: Batch) -> Outputs:
        """One forward pass. `clone` makes ordinary tensors of inference ones, which autograd could not save."""
        with torch.inference_mode(), watch(self._teacher, self._layers) as layers:
            logits = self._teacher(batch.inputs)
        return Outputs(logits.clone(), {name: output.clone() for name, output in layers.items()})
