"""The teacher in the same process, on the same device: nothing stored, right for any augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from distill_api.training import Precision
from distill_trainer.batch import Batch, any_tensor
from distill_trainer.last_layer import LastLayer
from distill_trainer.layers import watch
from distill_trainer.losses import Outputs
from distill_trainer.losses.rows import flat_rows
from distill_trainer.losses.term import Unprojected
from distill_trainer.sharding import forward_alone


class Online:
    """Runs the teacher on each batch. The teacher never moves: eval mode, no gradient, its statistics frozen."""

    def __init__(
        self,
        teacher: nn.Module,
        layers: Sequence[str] = (),
        last_layer: LastLayer | None = None,
        precision: Precision = Precision.FP32,
    ) -> None:
        """With `last_layer` its input is given in place of logits. Passes are in `precision`, as the student's."""
        self._low = precision is Precision.BF16
        self._last_layer = last_layer
        self._teacher = teacher.eval().requires_grad_(requires_grad=False)
        self._layers = tuple(layers)

    def outputs(self, batch: Batch) -> Outputs:
        """One forward pass. `clone` makes ordinary tensors of inference ones, which autograd could not save."""
        device = any_tensor(batch.inputs).device.type
        low = torch.autocast(device, torch.bfloat16, enabled=self._low)
        with forward_alone([self._teacher]), low, watch(self._teacher, self._layers) as layers:
            if self._last_layer is None:
                said = Outputs(self._teacher(batch.inputs))
            else:
                said = self._unprojected(batch, self._last_layer)
        # Clones made in there would be inference tensors too.
        own = said.unprojected and replace(said.unprojected, states=said.unprojected.states.clone())
        kept = {name: output.clone() for name, output in layers.items()}
        return Outputs(said.logits.clone(), kept, unprojected=own)

    def _unprojected(self, batch: Batch, last_layer: LastLayer) -> Outputs:
        found = last_layer.unprojected(self._teacher, batch.inputs)
        states = flat_rows(found.states, batch.mask)
        return Outputs(states.new_empty(0), unprojected=Unprojected(states, found.head))
