"""Where teacher, student and data come from."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic.alias_generators import to_camel

from distill_api.base import ApiModel, Rule, Uri
from distill_api.lora import Lora
from distill_api.model_sources import PythonModel, TimmModel, TorchvisionModel

HubId = Annotated[str, Field(min_length=1, max_length=256)]

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
        "model with its adapters merged.",
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


class FileFormat(StrEnum):
    """How files hold samples."""

    PARQUET = "Parquet"
    CSV = "Csv"
    JSON_LINES = "JsonLines"
    TEXT = "Text"
    IMAGE_FOLDER = "ImageFolder"
    IDX = "Idx"


class BuiltinDataset(ApiModel):
    """A data set that is there without a download."""

    name: Annotated[str, Field(min_length=1, max_length=63)] = Field(
        description="digits (scikit-learn, 1 797 images 8×8) or fashion-mnist (Debian package dataset-fashion-mnist)."
    )


class DatasetFiles(ApiModel):
    """Files on a volume."""

    uri: Uri = Field(
        description="pvc://<claim>/<folder> (or file:///<folder>), with one sub-folder or file per split."
    )
    format: FileFormat = Field(
        description="How the files hold the samples. Text means .txt files with a document on each line that is not blank."
    )


class HuggingFaceDataset(ApiModel):
    """A data set of the Hugging Face hub or a local folder in its format."""

    id: HubId = Field(description="Hub id (org/name), or a pvc:// or file:// URI of a folder.")
    config: Annotated[str, Field(min_length=1, max_length=128)] | None = Field(
        default=None, description="Name of the configuration (subset)."
    )
    revision: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        default=None,
        description="Commit of the hub repository. Pin it: a branch can change under a running job.",
    )


class Columns(ApiModel):
    """Which column holds what."""

    image: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        default="image", description="Name of the column with the picture."
    )
    text: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        default="text", description="Name of the column with the text."
    )
    messages: Annotated[str, Field(min_length=1, max_length=128)] | None = Field(
        default=None,
        description="Task CausalLM: name of the column with conversations, lists of {role, content}. It is read instead of "
        "text; the assistant's answers alone are trained.",
    )
    label: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        default="label", description="Name of the column with the class."
    )
    tokens: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        default="tokens",
        description="Task TokenClassification: name of the column with the words, a list each row.",
    )
    tags: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        default="ner_tags",
        description="Task TokenClassification: name of the column with the class of each word, a list as long.",
    )

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        chat = (self.messages,) if self.messages else ()
        return (self.image, self.text, self.label, self.tokens, self.tags, *chat)


class Splits(ApiModel):
    """Names of the parts of the data. Where the data has none of a name, that part is cut from train, by seed."""

    train: Annotated[str, Field(min_length=1, max_length=63)] = Field(
        default="train", description="Name of the part that is trained on."
    )
    validation: Annotated[str, Field(min_length=1, max_length=63)] = Field(
        default="validation",
        description="Name of the part that is watched during training and chooses the best epoch.",
    )
    test: Annotated[str, Field(min_length=1, max_length=63)] = Field(
        default="test",
        description="Name of the part that is seen once, at the end: the figures of status.result are measured on it.",
    )


class Dataset(ApiModel):
    """What the student is trained and measured on."""

    exactly_one_of = ("builtin", "files", "hugging_face")

    builtin: BuiltinDataset | None = Field(default=None, description="Data that is there without a download.")
    files: DatasetFiles | None = Field(
        default=None, description="Files on a volume, one sub-folder or file per split."
    )
    hugging_face: HuggingFaceDataset | None = Field(
        default=None, description="A data set of the Hugging Face hub, or a folder in its format."
    )
    columns: Columns = Field(
        default=Columns(),
        description="Which column of a table holds what; folders of pictures and IDX files have none.",
    )
    splits: Splits = Field(
        default=Splits(),
        description="Names of the parts of the data. A part that is not there is cut from train, by training.seed.",
    )
    max_tokens: Annotated[int, Field(ge=1, le=1_048_576)] | None = Field(
        default=None,
        description="Tasks of text: longer texts are cut after this many tokens. When not given 512, or what the models "
        "take if that is less.",
    )
    packing: bool | None = Field(
        default=None,
        description="Task CausalLM: true joins documents, each with its end token, and cuts them into samples of maxTokens "
        "without padding; within a sample a document sees the ones before it. Else each document is a sample.",
    )
    limit: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = Field(
        default=None,
        description="Train on this many samples only, drawn by the seed, equally from each class.",
    )
    max_broken_samples: Annotated[int, Field(ge=0, le=1_000_000_000)] = Field(
        default=0,
        description="Task ImageClassification: pictures that cannot be read are left out, named and counted, as long as they are "
        "no more than this in all splits together. With 0 the first one ends the job before training. With more, every "
        "picture is decoded once before training.",
    )

    @property
    def has_picture_files(self) -> bool:
        """Whether a picture of it is a file or a cell of a table, which can be broken by itself."""
        return self.builtin is None and (self.files is None or self.files.format is not FileFormat.IDX)
