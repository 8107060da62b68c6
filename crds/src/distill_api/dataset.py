"""`spec.dataset`: the samples, the names of their parts and columns."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from distill_api.base import ApiModel, HubId
from distill_api.delivery import Quantity
from distill_api.elsewhere import (
    DEFAULT_SIZE_LIMIT,
    LIMIT_IS_OF_WHAT_IS_FETCHED,
    SECRET_HAS_A_READER,
    DataUri,
    SecretReference,
    is_elsewhere,
)
from distill_api.teacher_outputs import quantity_bytes


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
    """Files on a volume, in object storage or on a web server."""

    cel = (LIMIT_IS_OF_WHAT_IS_FETCHED,)

    uri: DataUri = Field(
        description="pvc://<claim>/<folder> (or file:///<folder>), with one sub-folder or file per split. What lies at "
        "s3://<bucket>/<prefix>, gs://<bucket>/<prefix> or https://<host>/<file> (or <page>/, for the files that it links to) "
        "is fetched whole by each pod before it is read."
    )
    format: FileFormat = Field(
        description="How the files hold the samples. Text means .txt files with a document on each line that is not blank."
    )
    size_limit: Quantity | None = Field(
        default=None,
        description=f"What is fetched at most, in bytes, as in 100Gi; {DEFAULT_SIZE_LIMIT} when not given. More ends the job "
        "before anything is fetched.",
    )

    @property
    def size_limit_bytes(self) -> int:
        """The limit as a number."""
        return quantity_bytes(self.size_limit or DEFAULT_SIZE_LIMIT)

    @model_validator(mode="after")
    def _check_limit(self) -> Self:
        LIMIT_IS_OF_WHAT_IS_FETCHED.check(holds=self.size_limit is None or is_elsewhere(self.uri))
        return self


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
    cel = (SECRET_HAS_A_READER,)

    builtin: BuiltinDataset | None = Field(default=None, description="Data that is there without a download.")
    files: DatasetFiles | None = Field(
        default=None,
        description="Files on a volume, in object storage or on a web server, one sub-folder or file per split.",
    )
    hugging_face: HuggingFaceDataset | None = Field(
        default=None, description="A data set of the Hugging Face hub, or a folder in its format."
    )
    secret_ref: SecretReference | None = Field(
        default=None,
        description="Secret of the job's namespace whose keys become environment variables of the pods that read the data: "
        "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, for stores other than Amazon's, AWS_ENDPOINT_URL; "
        "GOOGLE_APPLICATION_CREDENTIALS_JSON; DISTILL_HTTP_AUTHORIZATION; HF_TOKEN. Without it the pods read as what they are: "
        "by their ServiceAccount's cloud identity, or as anybody.",
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

    @model_validator(mode="after")
    def _check_secret(self) -> Self:
        SECRET_HAS_A_READER.check(holds=self.secret_ref is None or self._takes_credentials)
        return self

    @property
    def _takes_credentials(self) -> bool:
        if self.files is not None:
            return is_elsewhere(self.files.uri) and not self.files.uri.startswith("http://")
        return self.hugging_face is not None and "://" not in self.hugging_face.id

    @property
    def has_picture_files(self) -> bool:
        """Whether a picture of it is a file or a cell of a table, which can be broken by itself."""
        return self.builtin is None and (self.files is None or self.files.format is not FileFormat.IDX)
