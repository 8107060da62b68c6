"""The networks that teach and learn: one interface over every place a model can come from.

`open_model` turns the API's `Teacher` or `Student` into a `ModelSource`; the contract check asks it questions without
building anything on a device, the training builds from it, and the written student keeps `config()` so that the
server can rebuild it with `rebuild`. A further kind of source is one file here, one line in `open_model` and one in `_REBUILDERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from distill_api.sources import Student, Teacher
from distill_trainer.errors import ConfigInvalid
from distill_trainer.models.builtin import BuiltinSource
from distill_trainer.models.huggingface import HuggingFaceSource
from distill_trainer.models.source import ModelSource, Shape

__all__ = ["ModelSource", "Shape", "build", "count_parameters", "open_model", "rebuild"]

_REBUILDERS: dict[str, Callable[[dict[str, Any]], ModelSource]] = {
    "builtin": BuiltinSource.rebuilt,
    "huggingFace": HuggingFaceSource.rebuilt,
}


def open_model(model: Teacher | Student, *, field: str) -> ModelSource:
    """The source that `model` names; `field` (`teacher`, `student`) starts the field names of messages.

    Raises ContractBroken where the name is unknown or the files are not there.
    """
    if model.builtin is not None:
        return BuiltinSource.of(model.builtin, model.weights, field)
    if model.hugging_face is not None:
        return HuggingFaceSource.of(model.hugging_face, model.weights, field)
    raise ConfigInvalid(f"{field} names no model: set exactly one of builtin, huggingFace")


def build(model: Teacher | Student, *, shape: Shape, classes: int) -> nn.Module:
    """The network of `model` without its trained weights: images [B, C, H, W] in [0, 1] → logits [B, classes]."""
    return open_model(model, field="teacher" if isinstance(model, Teacher) else "student").build(
        shape, classes
    )


def rebuild(config: dict[str, Any], *, shape: Shape, classes: int) -> nn.Module:
    """The network that `ModelSource.config()` described, without weights. Raises ConfigInvalid for an unknown kind."""
    for kind, opener in _REBUILDERS.items():
        if kind in config:
            return opener(config[kind]).build(shape, classes)
    raise ConfigInvalid(
        f"the model's kind is {', '.join(config) or 'missing'}: this version knows {', '.join(_REBUILDERS)}"
    )


def count_parameters(module: nn.Module) -> int:
    """Number of parameters; a tensor that two layers share counts once."""
    return sum(parameter.numel() for parameter in module.parameters())
