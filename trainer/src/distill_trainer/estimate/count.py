"""A job's networks taken apart on the meta device, which has shapes and no numbers: any size fits into this machine.

Parameters and FLOPs are counted, and what autograd keeps for the backward pass by watching
what it saves. Attention is counted as it runs without a GPU: the matrix of s×s, which fused kernels do not keep, is in it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.multiprocessing.reductions import StorageWeakRef

from distill_api.contract import TrainerConfig
from distill_api.lora import Lora
from distill_trainer.batch import Inputs
from distill_trainer.checkpointing import check_checkpointing, enable_checkpointing
from distill_trainer.cost import forward_flops
from distill_trainer.estimate.formulas import FP32
from distill_trainer.estimate.inputs import Network
from distill_trainer.lora import adapt
from distill_trainer.models import ModelSource, Signature, count_parameters, open_models
from distill_trainer.shapes_alone import shapes_alone
from distill_trainer.sharding import units
from distill_trainer.tasks import Sources, kit_of
from distill_trainer.text import shared_encoder

_BATCH = 2
"""Batch norm refuses to train on one sample of one pixel."""


@dataclass(frozen=True)
class Counted:
    """What the job's data and networks are."""

    teacher: Network
    student: Network
    samples: int
    positions: int
    classes: int


def count_job(config: TrainerConfig, element: int, tokens: int | None = None) -> Counted:
    """Open data and models (their weights are not read) and count. Raises UserError.

    Texts count with `tokens` each; with as many as they are cut at when not given.
    """
    kit = kit_of(config.task)
    sources = Sources(*open_models(config.teacher, config.student))
    data = kit.describe(config, sources)
    signature = kit.signature(data)
    example = example_of(config, sources, signature, _BATCH, torch.device("meta"), tokens)
    teacher, positions, width = _counted(sources.teacher, signature, example, element)
    student, _, _ = _counted(
        sources.student,
        signature,
        example,
        element,
        checkpointing=config.training.activation_checkpointing,
        lora=config.student.lora,
    )
    return Counted(teacher, student, data.sizes["train"], positions, width)


def example_of(
    config: TrainerConfig,
    sources: Sources,
    signature: Signature,
    batch: int,
    device: torch.device,
    tokens: int | None,
) -> Inputs:
    """The task's example; a text is as long as asked for, or as texts are cut at."""
    inputs = kit_of(config.task).example(signature, batch, device)
    if isinstance(inputs, Tensor):
        return inputs
    length = tokens or shared_encoder(config.dataset, sources.teacher, sources.student).max_tokens
    return {name: tensor[:, :1].repeat(1, length) for name, tensor in inputs.items()}


def build_on(source: ModelSource, signature: Signature, device: torch.device) -> nn.Module:
    """The network with fresh parameters on `device`."""
    with device:
        return source.build(signature)


def adapt_student(source: ModelSource, network: nn.Module, lora: Lora | None) -> None:
    """Leave adapters alone to be trained, where the job says so. Raises ContractBroken."""
    if lora is not None:
        inner = source.inner(network)
        adapt(inner, lora, source.fresh(inner))


@shapes_alone()
def _counted(
    source: ModelSource,
    signature: Signature,
    example: Inputs,
    element: int,
    *,
    checkpointing: bool = False,
    lora: Lora | None = None,
) -> tuple[Network, int, int]:
    """The network, what it says something about in a sample, and how many values that has."""
    network = build_on(source, signature, torch.device("meta"))
    if checkpointing:
        check_checkpointing(network, source.name)
        enable_checkpointing(network)
    adapt_student(source, network, lora)
    trained = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    counted = count_network(network, example, _BATCH, element)
    logits = network.eval()(example)
    named = replace(
        counted, name=source.name, repeated=checkpointing, adapters=trained if lora is not None else None
    )
    return named, logits.shape[1:-1].numel(), logits.shape[-1]


@shapes_alone()
def count_network(network: nn.Module, example: Inputs, batch: int, element: int) -> Network:
    """Count one network from an example of `batch` samples; `element` is bytes of a number in its passes."""
    flops = forward_flops(network, example)
    watched = _watch_pass(network, example)
    layers = list(units(network))
    whole = count_parameters(network)
    saved = _saved_bytes(network.train(), example, element)
    return Network(
        name=type(network).__name__,
        parameters=whole,
        largest=max(map(count_parameters, layers), default=0),
        flops=flops / batch,
        saved=saved / batch,
        passing=watched.largest * element / batch,
        width=watched.width,
        beside=whole - sum(map(count_parameters, layers)),
    )


@dataclass
class _Watched:
    """Seen in a pass: elements of the largest input and output of one layer, width of what the last linear layer took."""

    largest: int = 0
    width: int = 0

    def see(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        """A forward hook."""
        tensors = [value for value in (*inputs, output) if isinstance(value, Tensor)]
        self.largest = max(self.largest, sum(tensor.numel() for tensor in tensors))
        if isinstance(module, nn.Linear):
            self.width = module.in_features


def _watch_pass(network: nn.Module, example: Inputs) -> _Watched:
    watched = _Watched()
    leaves = [module for module in network.modules() if not any(module.children())]
    handles = [leaf.register_forward_hook(watched.see) for leaf in leaves]
    try:
        with torch.no_grad():
            network.eval()(example)
    finally:
        for handle in handles:
            handle.remove()
    return watched


def _saved_bytes(network: nn.Module, example: Inputs, element: int) -> float:
    """Bytes that autograd keeps: each storage once, parameters and buffers not. Numbers count with `element` bytes."""
    own = {_storage(tensor) for tensor in (*network.parameters(), *network.buffers())}
    kept: dict[StorageWeakRef, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept.setdefault(_storage(tensor), tensor)
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        network(example)
    return sum(_bytes(tensor, element) for storage, tensor in kept.items() if storage not in own)


def _storage(tensor: Tensor) -> StorageWeakRef:
    return StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]


def _bytes(tensor: Tensor, element: int) -> float:
    """A view counts with all of its storage, which is what stays in memory."""
    size = tensor.untyped_storage().nbytes()
    return size * element / FP32 if tensor.is_floating_point() else size
