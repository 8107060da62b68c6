"""The teacher's outputs from the store: no forward pass of the teacher while the student trains."""

from __future__ import annotations

import torch
from torch import Tensor

from distill_trainer.batch import Batch
from distill_trainer.losses import Outputs
from distill_trainer.teacher_outputs.encodings import Encoding, HiddenState
from distill_trainer.teacher_outputs.store import OutputStore


class Cached:
    """Reads what `fill` stored, by sample: any order, batch size or part of the data gives each sample its own."""

    def __init__(self, store: OutputStore, encoding: Encoding, *, unprojected: bool = False) -> None:
        """With `unprojected` hidden states are given as they are stored, in place of the logits made of them."""
        self._unprojected = unprojected
        self._store = store
        self._encoding = encoding

    def outputs(self, batch: Batch) -> Outputs:
        """See TeacherOutputs. Raises LookupError where a sample is not stored."""
        device = batch.labels.device
        found = self._store.read(batch.rows)
        rows = {name: tensor.to(device) for name, tensor in found.rows.items()}
        layers = {name: tensor.to(device) for name, tensor in found.layers.items()}
        if self._unprojected and isinstance(self._encoding, HiddenState):
            return Outputs(
                torch.empty(0, device=device), layers, unprojected=self._encoding.unprojected(rows)
            )
        decoded = self._encoding.decode(rows)
        if isinstance(decoded, Tensor):
            return Outputs(in_place(decoded, batch), layers)
        return Outputs(torch.empty(0, device=device), layers, decoded)


def in_place(rows: Tensor, batch: Batch) -> Tensor:
    """Rows [R, C] where the batch's labels stand, [B, …, C]; 0 where none counts."""
    shape = (*batch.labels.shape, rows.shape[-1])
    if batch.mask is None:
        return rows.reshape(shape)
    placed = rows.new_zeros(shape)
    placed[batch.mask] = rows
    return placed
