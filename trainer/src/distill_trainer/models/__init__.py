"""The networks that teach and learn: one interface over every place a model can come from.

`open_models` turns the API's `Teacher` and `Student` into a `ModelSource` each; the contract check asks it questions without
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
from distill_trainer.errors import ConfigInvalid, ContractBroken
from distill_trainer.models.builtin import BuiltinSource
from distill_trainer.models.huggingface import HuggingFaceSource
from distill_trainer.models.python_factory import PythonSource
from distill_trainer.models.source import ModelSource, Shape, Signature
from distill_trainer.models.timm_models import TimmSource
from distill_trainer.models.torchvision_models import TorchvisionSource

__all__ = [
    "ModelSource",
    "Shape",
    "Signature",
    "builtin_network",
    "count_parameters",
    "open_model",
    "open_models",
    "reopen",
]

_REOPENERS: dict[str, Callable[[dict[str, Any], Path], ModelSource]] = {
    "builtin": BuiltinSource.reopened,
    "huggingFace": HuggingFaceSource.reopened,
    "timm": TimmSource.reopened,
    "torchvision": TorchvisionSource.reopened,
    "python": PythonSource.reopened,
}


def open_model(model: Teacher | Student, *, field: str) -> ModelSource:
    """The source that `model` names; `field` (`teacher`, `student`) starts the field names of messages.

    Raises ContractBroken where the name is unknown or the files are not there.
    """
    if model.builtin is not None:
        return BuiltinSource.of(model.builtin, model.weights, field)
    if model.hugging_face is not None:
        return HuggingFaceSource.of(model.hugging_face, model.weights, field)
    if model.timm is not None:
        return TimmSource.of(model.timm, model.weights, field)
    if model.torchvision is not None:
        return TorchvisionSource.of(model.torchvision, model.weights, field)
    if model.python is not None:
        return PythonSource.of(model.python, model.weights, field)
    raise ConfigInvalid(f"{field} names no model: set exactly one of {', '.join(_REOPENERS)}")


def open_models(teacher: Teacher, student: Student) -> tuple[ModelSource, ModelSource]:
    """Both; a student without a source of its own is made of its teacher's layers. Raises ContractBroken."""
    found, init = open_model(teacher, field="teacher"), student.init_from_teacher
    if init is None:
        return found, open_model(student, field="student")
    if not isinstance(found, HuggingFaceSource):
        raise ContractBroken(
            "LayerMismatch",
            f"student.initFromTeacher copies layers of Transformers models, and teacher {found.name} is none: remove it",
        )
    if student.hugging_face is None:
        return found, found.with_layers(init)
    own = open_model(student, field="student")
    if own.weights_name:
        raise ContractBroken(
            "TwoStarts",
            f"student.huggingFace.id brings weights ({own.weights_name}), which student.initFromTeacher would replace: "
            "remove one of them, or name a folder with a config alone",
        )
    return found, own


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
