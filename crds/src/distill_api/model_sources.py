"""Networks that are neither builtin nor of Transformers: those of timm, of torchvision, and a function of one's own."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, JsonValue

from distill_api.base import ApiModel, Uri

Arguments = Annotated[
    dict[str, JsonValue],
    Field(
        max_length=64,
        json_schema_extra={"x-kubernetes-preserve-unknown-fields": True, "additionalProperties": True},
    ),
]
"""Keyword arguments as JSON. Their names and types are the network's own, so the API server keeps them as they are."""

_Architecture = Annotated[
    str,
    Field(
        min_length=1,
        max_length=128,
        pattern=r"^[A-Za-z0-9_.]+$",
        json_schema_extra={"x-says": "must be the plain name of an architecture, as in resnet18"},
    ),
]

_Factory = Annotated[
    str,
    Field(
        min_length=3,
        max_length=256,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*([.][A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*$",
        json_schema_extra={"x-says": "must be package.module:function, as in shop_models.nets:small"},
    ),
]


class TimmModel(ApiModel):
    """An image classifier of PyTorch Image Models (timm), with as many classes and channels as the data."""

    name: _Architecture = Field(
        description="Architecture as timm.list_models() has it (resnet18, vit_tiny_patch16_224 …). A tag, as in "
        "resnet18.a1_in1k, chooses mean and deviation of the pictures; weights come from weights.uri alone."
    )
    args: Arguments | None = Field(
        default=None,
        description="Keyword arguments of timm.create_model, as in {drop_path_rate: 0.1, img_size: 32}.",
    )


class TorchvisionModel(ApiModel):
    """An image classifier of torchvision, with as many classes as the data; grey pictures become three channels."""

    name: _Architecture = Field(
        description="Name of a classifier as torchvision.models.list_models(torchvision.models) has it."
    )
    args: Arguments | None = Field(
        default=None,
        description="Keyword arguments of torchvision.models.get_model, as in {dropout: 0.1}.",
    )


class PythonModel(ApiModel):
    """A network that a function in the training image makes. The function is code that runs with the job's rights."""

    factory: _Factory = Field(
        description="Where the function lies. It returns a torch.nn.Module: pictures [batch, channels, height, width] in [0, 1], "
        "or texts by name (input_ids, attention_mask), to logits with as many columns as the data has classes."
    )
    args: Arguments | None = Field(
        default=None, description="Keyword arguments of the function, as in {width: 64}."
    )
    tokenizer: Uri | None = Field(
        default=None,
        description="Tasks of text: folder with the tokenizer that save_pretrained wrote. A student without one reads "
        "with its teacher's.",
    )


def given_arguments(model: TimmModel | TorchvisionModel | PythonModel) -> dict[str, Any]:
    """Its keyword arguments; empty where none are given."""
    return dict(model.args or {})
