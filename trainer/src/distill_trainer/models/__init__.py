"""The networks that teach and learn: one interface over every place a model can come from.

`open_model` turns the API's `Teacher` or `Student` into a `ModelSource`; the contract check asks it questions without
building anything on a device, the training builds from it, and the written student keeps `config()` so that the
server can make it again with `reopen`. A further kind of source is one file here, one line in `open_model` and one in
`_REOPENERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from distill_api.sources import BuiltinModel, Student, Teacher
from distill_api.training import Task
from distill_trainer.errors import ConfigInvalid
from distill_trainer.models.builtin import BuiltinSource
from distill_trainer.models.huggingface import HuggingFaceSource
from distill_trainer.models.source import ModelSource, Shape, Signature

__all__ = ["ModelSource", "Shape", "Signature", "builtin_network", "count_parameters", "open_model", "reopen"]

_REOPENERS: dict[str, Callable[[dict[str, Any], Path], ModelSource]] = {
    "builtin": BuiltinSource.reopened,
    "huggingFace": HuggingFaceSource.reopened,
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


def builtin_network(name: str, *, shape: Shape, classes: int) -> nn.Module:
    """An untrained builtin network for images of `shape`."""
    source = open_model(Student(builtin=BuiltinModel(name=name)), field="student")
    return source.build(Signature(Task.IMAGE_CLASSIFICATION, classes, shape))


def reopen(config: dict[str, Any], folder: Path) -> ModelSource:
    """The source that `ModelSource.config()` described, with its files in `folder`. Raises ConfigInvalid for an unknown kind."""
    for kind, opener in _REOPENERS.items():
        if kind in config:
            return opener(config[kind], folder)
    raise ConfigInvalid(
        f"the model's kind is {', '.join(config) or 'missing'}: this version knows {', '.join(_REOPENERS)}"
    )


def count_parameters(module: nn.Module) -> int:
    """Number of parameters; a tensor that two layers share counts once."""
    return sum(parameter.numel() for parameter in module.parameters())
