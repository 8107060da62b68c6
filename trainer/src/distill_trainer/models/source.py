"""What the trainer needs to know of a model, whatever it comes from. Implemented by the other files of this folder."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor, nn

Shape = tuple[int, int, int]
"""Channels, height, width of one image."""


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

    def trained_shapes(self) -> dict[str, tuple[int, ...]] | None:
        """Shape of every trained tensor by name, without reading the tensors; None where there are no weights."""

    def build(self, shape: Shape, classes: int) -> nn.Module:
        """The network with fresh parameters on the current default device: images [B, C, H, W] → logits [B, classes]."""

    def load(self, module: nn.Module) -> None:
        """Put the trained weights into a network that `build` made; nothing happens where there are none."""

    def config(self) -> dict[str, Any]:
        """JSON from which `models.rebuild` makes the same network."""

    def state(self, module: nn.Module) -> dict[str, Tensor]:
        """The tensors to be written as model.safetensors."""
