"""What the trainer needs to know of a model, whatever it comes from. Implemented by the other files of this folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from distill_api.training import Task

Shape = tuple[int, int, int]
"""Channels, height, width of one image."""


@dataclass(frozen=True)
class Signature:
    """What goes into a network and what comes out, as the task and the data ask for it.

    `classes` is the number of logits of a row, 0 for embeddings, which are as wide as the model; `shape` is that of one picture, None for text. `names` are the classes in
    the data's order, empty where they have none (tokens): networks give their logits in this order.
    """

    task: Task
    classes: int
    shape: Shape | None = None
    names: tuple[str, ...] = ()


class ModelSource(Protocol):
    """One place a model comes from."""

    @property
    def name(self) -> str:
        """How messages and the report call it."""

    @property
    def weights_name(self) -> str:
        """File (or id) that its trained parameters are read from; empty where there are none."""

    def check_files(self) -> None:
        """Refuse weights that are missing, torn or a pickle, reading headers only. Raises ContractBroken."""

    def trained_classes(self) -> tuple[str, int] | None:
        """Name of the head and its number of classes, read from the trained weights; None where that is open."""

    def class_names(self) -> tuple[str, ...] | None:
        """Names of its outputs in its own order, empty where it says none; None where the data's order is its own."""

    def trained_shapes(self) -> dict[str, tuple[int, ...]] | None:
        """Shape of every trained tensor by name, without reading the tensors; None where there are no weights."""

    def fresh(self, network: nn.Module) -> tuple[str, ...]:
        """Tensors of `network` (that of `inner`) that known weights do not fill, since they are for other classes."""

    def build(self, signature: Signature) -> nn.Module:
        """The network with fresh parameters on the current default device: `Batch.inputs` → logits [B, …, classes].

        Raises ContractBroken where it cannot have this signature.
        """

    def load(self, module: nn.Module) -> tuple[str, ...]:
        """Put the trained weights into a network that `build` made; nothing happens where there are none.

        Names (those of `inner`) of the tensors that the weights lack, which stay as they are.
        """

    def inner(self, module: nn.Module) -> nn.Module:
        """The network inside what `build` made, whose tensors have the names of the weights."""

    def config(self) -> dict[str, Any]:
        """JSON from which `models.reopen` makes the same source."""

    def tokenizer(self) -> Any | None:
        """The Transformers tokenizer that its texts are read with; None where it has none."""

    def longest_input(self) -> int | None:
        """The most tokens that it takes; None where that is open."""

    def vocabulary(self) -> int | None:
        """How many tokens it knows, padding of its head included; None where that is open."""

    def ends_by_padding(self) -> tuple[int | None] | None:
        """The padding token, if it has one, by which its head for texts finds a text's last token; None where it does not."""

    def generation_file(self) -> Path | None:
        """How it continues texts unless told otherwise (ends, sampling), as Transformers writes it; None where nothing says."""

    def write(self, module: nn.Module, folder: Path) -> None:
        """Write the trained parameters as model.safetensors, with the files that others need to load the model."""

    def read(self, module: nn.Module, folder: Path) -> None:
        """Put what `write` wrote into a network that `build` made. Raises ContractBroken."""
