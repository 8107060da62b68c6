"""Builtin networks by name, with trained parameters from a safetensors file."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from distill_api.sources import BuiltinModel, Weights
from distill_trainer.errors import ContractBroken
from distill_trainer.models.convnet import ConvNet
from distill_trainer.models.mlp import Mlp
from distill_trainer.models.source import Shape, Signature
from distill_trainer.models.weights_file import WeightsFile

HEAD = "fc"

NETWORKS: dict[str, Callable[[Shape, int], nn.Module]] = {
    "convnet-tiny": partial(ConvNet, widths=(16, 32), depth=1),
    "convnet-small": partial(ConvNet, widths=(16, 32, 64), depth=1),
    "convnet-large": partial(ConvNet, widths=(32, 64, 128), depth=2),
    "mlp": partial(Mlp, hidden=64),
}
"""A further network is one line here."""


class BuiltinSource(WeightsFile):
    """A network of `NETWORKS`."""

    def __init__(self, name: str, file: Path | None, field: str) -> None:
        super().__init__(file, field)
        if name not in NETWORKS:
            raise ContractBroken("UnknownModel", unknown_name(name, f"{field}.builtin.name"))
        self._network = name

    @classmethod
    def of(cls, model: BuiltinModel, trained: Weights | None, field: str) -> BuiltinSource:
        """From the API's model and its weights."""
        return cls(model.name, cls.path(trained, field), field)

    @classmethod
    def reopened(cls, config: dict[str, Any], folder: Path) -> BuiltinSource:  # noqa: ARG003
        """From what `config` wrote."""
        return cls(str(config["name"]), None, "model")

    @property
    def name(self) -> str:
        """The network's name."""
        return self._network

    def check_files(self) -> None:
        """Read the header of the weights. Raises ContractBroken."""
        if not self._file and self._field == "teacher":
            raise ContractBroken(
                "WeightsMissing",
                f"teacher.weights is not set: the builtin teacher {self._network} is untrained without it; "
                "set teacher.weights.uri to its safetensors file",
            )
        super().check_files()

    def trained_classes(self) -> tuple[str, int] | None:
        """Rows of the head."""
        rows = (self.trained_shapes() or {}).get(f"{HEAD}.weight", ())
        return (HEAD, rows[0]) if rows else None

    def class_names(self) -> None:
        """None: its outputs are those of the data that it was trained on, in their order."""
        return

    def build(self, signature: Signature) -> nn.Module:
        """The network, sized by the data. Raises ContractBroken where the data are no pictures."""
        if signature.shape is None:
            raise ContractBroken(
                "TaskMismatch",
                f"{self._field}.builtin.name is {self._network!r}, which classifies pictures, and task is "
                f"{signature.task.value}; name a model with {self._field}.huggingFace",
            )
        return NETWORKS[self._network](signature.shape, signature.classes)

    def config(self) -> dict[str, Any]:
        """The name is enough: shape and classes are written beside it."""
        return {"builtin": {"name": self._network}}


def unknown_name(name: str, field: str) -> str:
    """The sentence for a name that no network has, with the nearest one."""
    near = difflib.get_close_matches(name, NETWORKS, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{field} is {name!r}, which no builtin network is called: {hint}known are {', '.join(NETWORKS)}"
