"""`spec.teacher` and `spec.student`: where the models come from."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic.alias_generators import to_camel

from distill_api.base import ApiModel, HubId, Rule, Uri
from distill_api.lora import Lora
from distill_api.model_sources import PythonModel, TimmModel, TorchvisionModel

_SOURCES = ("builtin", "hugging_face", "timm", "torchvision", "python")
"""What a model can come from, in Python's spelling."""

_TEACHER_IS_TRAINED = Rule(
    "!(has(self.builtin) || has(self.timm) || has(self.torchvision)) || has(self.weights)",
    "is required for a teacher of builtin, timm or torchvision: give the uri of its trained parameters; an untrained teacher "
    "teaches nothing",
    field="weights",
)

_GIVEN = " + ".join(f"(has(self.{to_camel(name)}) ? 1 : 0)" for name in _SOURCES)
_STUDENT_HAS_A_SOURCE = Rule(
    f"{_GIVEN} == 1 || ({_GIVEN} == 0 && has(self.initFromTeacher))",
    "set exactly one of builtin, huggingFace, timm, torchvision, python; or initFromTeacher alone, for some of the teacher's "
    "own layers",
)
_LAYERS_ARE_OF_TRANSFORMERS = Rule(
    f"!has(self.initFromTeacher) || has(self.huggingFace) || {_GIVEN} == 0",
    "copies layers of Transformers models: remove it, or name a model with huggingFace",
    field="initFromTeacher",
)
_ADAPTERS_ARE_OF_TRANSFORMERS = Rule(
    f"!has(self.lora) || has(self.huggingFace) || {_GIVEN} == 0",
    "adapts Transformers models: remove it, or name a model with huggingFace",
    field="lora",
)
_ONE_START = Rule(
    "!has(self.initFromTeacher) || !has(self.weights)",
    "says where the student's parameters start, and so does weights: remove one of them",
    field="initFromTeacher",
)


class BuiltinModel(ApiModel):
    """A small network that ships with the trainer."""

    name: Annotated[str, Field(min_length=1, max_length=63)] = Field(
        description="Name of a network of the trainer: convnet-tiny, convnet-small, convnet-large or mlp."
    )


class HuggingFaceModel(ApiModel):
    """A model of the Hugging Face hub or a local folder in its format; safetensors weights only."""

    id: HubId = Field(
        description="Hub id (org/name), or a pvc:// or file:// URI of a folder with config.json."
    )
    revision: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        default=None,
        description="Commit of the hub repository. Pin it: a branch can change under a running job.",
    )


class Weights(ApiModel):
    """A safetensors file with a model's trained parameters. Pickles (.pt, .bin) are refused."""

    uri: Uri = Field(
        description="pvc://<claim>/<path> (or file:///<path> inside the training image) of the file."
    )


class Teacher(ApiModel):
    """The trained model whose outputs the student learns."""

    exactly_one_of = _SOURCES
    cel = (_TEACHER_IS_TRAINED,)

    builtin: BuiltinModel | None = Field(
        default=None, description="A small network that ships with the trainer."
    )
    hugging_face: HuggingFaceModel | None = Field(
        default=None, description="A Transformers model of the Hugging Face hub, or a folder in its format."
    )
    timm: TimmModel | None = Field(default=None, description="An image classifier of timm.")
    torchvision: TorchvisionModel | None = Field(
        default=None, description="An image classifier of torchvision."
    )
    python: PythonModel | None = Field(
        default=None, description="A network that a function in the training image makes."
    )
    weights: Weights | None = Field(
        default=None,
        description="Trained parameters. Needed for a teacher of builtin, timm or torchvision; a python factory can bring its own.",
    )

    @model_validator(mode="after")
    def _check_teacher_is_trained(self) -> Self:
        bare = any((self.builtin, self.timm, self.torchvision))
        _TEACHER_IS_TRAINED.check(holds=not bare or self.weights is not None)
        return self


class InitFromTeacher(ApiModel):
    """Which of the teacher's layers the student starts as; embeddings and head are copied with them."""

    exactly_one_of = ("layers", "count")

    layers: (
        Annotated[list[Annotated[int, Field(ge=0, le=4095)]], Field(min_length=1, max_length=1024)] | None
    ) = Field(
        default=None,
        description="Layers of the teacher, counted from 0, in the student's order: [0, 2, 4] makes three layers.",
    )
    count: Annotated[int, Field(ge=1, le=1024)] | None = Field(
        default=None,
        description="How many layers, spread evenly over the teacher's with the first and the last among them: 6 of 12 are "
        "0, 2, 4, 7, 9 and 11.",
    )


class Student(ApiModel):
    """The smaller model that is trained."""

    cel = (_STUDENT_HAS_A_SOURCE, _LAYERS_ARE_OF_TRANSFORMERS, _ONE_START, _ADAPTERS_ARE_OF_TRANSFORMERS)

    builtin: BuiltinModel | None = Field(
        default=None, description="A small network that ships with the trainer."
    )
    hugging_face: HuggingFaceModel | None = Field(
        default=None, description="A Transformers model of the Hugging Face hub, or a folder in its format."
    )
    timm: TimmModel | None = Field(default=None, description="An image classifier of timm.")
    torchvision: TorchvisionModel | None = Field(
        default=None, description="An image classifier of torchvision."
    )
    python: PythonModel | None = Field(
        default=None, description="A network that a function in the training image makes."
    )
    weights: Weights | None = Field(
        default=None, description="Parameters to start from; random when not given."
    )
    init_from_teacher: InitFromTeacher | None = Field(
        default=None,
        description="Start from copies of the teacher's layers. Without huggingFace the student is the teacher with these "
        "layers alone; with it the student's own config must have as many, of the teacher's width.",
    )

    lora: Lora | None = Field(
        default=None,
        description="Train low-rank adapters of a Transformers model instead of all its parameters. The version holds the "
        "model with its adapters merged and, in adapter/, the adapters alone in PEFT's format.",
    )

    @model_validator(mode="after")
    def _check_start(self) -> Self:
        copied = self.init_from_teacher is not None
        given = [name for name in _SOURCES if getattr(self, name) is not None]
        _STUDENT_HAS_A_SOURCE.check(holds=len(given) == 1 or (copied and not given))
        _LAYERS_ARE_OF_TRANSFORMERS.check(holds=not copied or given in ([], ["hugging_face"]))
        _ONE_START.check(holds=not copied or self.weights is None)
        _ADAPTERS_ARE_OF_TRANSFORMERS.check(holds=self.lora is None or given in ([], ["hugging_face"]))
        return self
