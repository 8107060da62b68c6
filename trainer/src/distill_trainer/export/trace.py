"""The student as a graph of tensor operations, with batch and length left open (https://pytorch.org/docs/stable/export.html)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from distill_trainer.batch import Inputs
from distill_trainer.errors import ContractBroken
from distill_trainer.models.embedding_network import EmbeddingNetwork

IMAGES, LOGITS, EMBEDDINGS = "images", "logits", "sentence_embedding"


@dataclass(frozen=True)
class Traced:
    """A graph, the names of its inputs in order, and that of its output."""

    program: ExportedProgram
    names: tuple[str, ...]
    output: str = LOGITS


class ByPosition(nn.Module):
    """A network whose named tensors are given one after another, which is how graphs take them."""

    def __init__(self, network: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.network = network
        self._names = names

    def forward(self, *tensors: Tensor) -> Tensor:
        """The network's logits."""
        named = dict(zip(self._names, tensors, strict=True))
        logits: Tensor = self.network(tensors[0] if self._names == (IMAGES,) else named)
        return logits


def names_of(inputs: Inputs) -> tuple[str, ...]:
    """What the graph calls its inputs."""
    return tuple(inputs) if isinstance(inputs, Mapping) else (IMAGES,)


def tensors_of(inputs: Inputs) -> tuple[Tensor, ...]:
    """The inputs in the order of `names_of`."""
    return tuple(inputs.values()) if isinstance(inputs, Mapping) else (inputs,)


def trace(student: nn.Module, example: Inputs, longest: int | None) -> Traced:
    """Trace on `example`, a batch of two or more: sizes of 0 and 1 would be taken for constants.

    Raises ContractBroken (ExportFailed).
    """
    names, tensors = names_of(example), tensors_of(example)
    batch = Dim("batch")
    sizes = {0: batch, 1: Dim("length", max=longest)} if isinstance(example, Mapping) else {0: batch}
    try:
        with torch.no_grad():
            program = torch.export.export(
                ByPosition(student, names), tensors, dynamic_shapes=(tuple(sizes for _ in tensors),)
            )
    except Exception as error:  # whatever a model's own code does that a graph cannot hold
        raise ContractBroken(
            "ExportFailed",
            f"output.formats: the student cannot be traced ({type(error).__name__}: "
            f"{(str(error).strip().splitlines() or [''])[0][:300]}); it is in its last checkpoint: a job with the same "
            "output.uri and with the format Safetensors alone goes on from there",
        ) from error
    return Traced(program, names, EMBEDDINGS if isinstance(student, EmbeddingNetwork) else LOGITS)
