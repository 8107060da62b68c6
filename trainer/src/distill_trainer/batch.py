"""A batch of any task: what the networks take, what is known of it, and which samples it is.

Data splits make batches; the loop, the teacher's outputs and the evaluation hand them on without looking inside. Every
network is called with one argument, `network(batch.inputs)`, whatever the task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

Inputs = Tensor | Mapping[str, Tensor]
"""Images float32 [B, C, H, W] in [0, 1], or tensors [B, L] by the name that the model gives them (`input_ids` …)."""


@dataclass(frozen=True)
class Samples:
    """What a source reads for some rows. Labels int64 and a bool mask of their shape where the content decides them."""

    inputs: Inputs
    labels: Tensor | None = None
    mask: Tensor | None = None


@dataclass(frozen=True)
class Batch:
    """`ids` and `rows` (int64 [B], places in the split) name the samples.

    Labels are int64 [B], or [B, L] with a label for each token; `mask` (bool, as the labels) is true where one counts,
    and None where all do.
    """

    ids: Sequence[str]
    rows: Tensor
    inputs: Inputs
    labels: Tensor
    mask: Tensor | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def tokens(self) -> Tensor | None:
        """Bool [B, L], true where a token stands and false on padding; None where all positions hold something."""
        if isinstance(self.inputs, Tensor) or "attention_mask" not in self.inputs:
            return None
        return self.inputs["attention_mask"].bool()

    def to(self, device: torch.device) -> Batch:
        """Everything but the rows on the device."""
        return replace(
            self,
            inputs=moved(self.inputs, device),
            labels=self.labels.to(device),
            mask=None if self.mask is None else self.mask.to(device),
        )


def moved(inputs: Inputs, device: torch.device) -> Inputs:
    """The inputs on a device."""
    if isinstance(inputs, Tensor):
        return inputs.to(device)
    return {name: tensor.to(device) for name, tensor in inputs.items()}


def any_tensor(inputs: Inputs) -> Tensor:
    """One of the tensors: they share batch size and device."""
    return inputs if isinstance(inputs, Tensor) else next(iter(inputs.values()))
