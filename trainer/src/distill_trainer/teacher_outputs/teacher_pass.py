"""One forward pass of the teacher, and of its output what counts: rows, layers, and what goes into its last layer.

Used to fill the store; the contract check asks it whether a teacher has such a last layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

from distill_trainer.batch import Batch, Inputs
from distill_trainer.layers import bare, watch
from distill_trainer.losses.rows import flat_rows
from distill_trainer.teacher_outputs.encodings import Head


@dataclass(frozen=True)
class Said:
    """What the teacher says of B samples. `counts` int64 [B] rows of each; `logits` [R, C] and `hidden` [R, H] by row."""

    counts: Tensor
    logits: Tensor
    hidden: Tensor | None
    layers: dict[str, Tensor]


class TeacherPass:
    """The teacher in eval mode, without gradients. `head` names its last layer where its input is wanted."""

    def __init__(self, teacher: nn.Module, layers: Sequence[str] = (), head: str | None = None) -> None:
        self._teacher = teacher.eval().requires_grad_(requires_grad=False)
        self._layers = tuple(layers)
        self._head = head

    def __call__(self, batch: Batch) -> Said:
        """One forward pass."""
        with (
            torch.inference_mode(),
            watch(self._teacher, self._layers) as layers,
            self._entering_head() as entered,
        ):
            logits = self._teacher(batch.inputs)
        hidden = entered[0] if entered else None
        return Said(
            row_counts(batch),
            flat_rows(logits, batch.mask),
            None if hidden is None else flat_rows(hidden, batch.mask),
            dict(layers),
        )

    @contextmanager
    def _entering_head(self) -> Iterator[list[Tensor]]:
        entered: list[Tensor] = []
        if self._head is None:
            yield entered
            return
        module = bare(self._teacher).get_submodule(self._head)
        handle = module.register_forward_pre_hook(lambda _module, inputs: entered.append(inputs[0]))
        try:
            yield entered
        finally:
            handle.remove()


def row_counts(batch: Batch) -> Tensor:
    """How many rows of each sample count, int64 [B] on the CPU."""
    shape = batch.labels if batch.mask is None else batch.mask
    if batch.mask is None:
        return torch.full((len(shape),), shape[0].numel() if len(shape) else 1)
    return batch.mask.flatten(1).sum(dim=1).cpu()


def head_name(network: nn.Module, inputs: Inputs) -> str | None:
    """The linear layer whose output is the network's, as it stands or its first columns; None where more is done to it."""
    gave: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda _module, _inputs, output: gave.__setitem__(name, output)

    linear = [(name, module) for name, module in bare(network).named_modules() if type(module) is nn.Linear]
    handles = [module.register_forward_hook(keep(name)) for name, module in linear]
    try:
        with torch.no_grad():
            logits = network(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return next((name for name, output in gave.items() if _begins(output, logits)), None)


def _begins(output: Tensor, logits: Tensor) -> bool:
    """Whether `logits` are the same memory, cut to the classes that exist."""
    cut = output[..., : logits.shape[-1]]
    same_places = (cut.shape, cut.stride(), cut.storage_offset()) == (
        logits.shape,
        logits.stride(),
        logits.storage_offset(),
    )
    # `is_set_to` says it all in one, but not on the meta device.
    return same_places and StorageWeakRef(cut.untyped_storage()) == StorageWeakRef(logits.untyped_storage())  # type: ignore[no-untyped-call]


def head_of(network: nn.Module, name: str, classes: int) -> Head:
    """The layer that `head_name` found, for the first `classes` of what it gives."""
    layer = bare(network).get_submodule(name)
    if not isinstance(layer, nn.Linear):
        raise TypeError(f"{name} is no linear layer")
    bias = None if layer.bias is None else layer.bias.detach()[:classes]
    return Head(layer.weight.detach()[:classes], bias)
