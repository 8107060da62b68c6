"""Pictures: what the v1 and the v2 protocol carry, checked, as one tensor. Pure.

Numbers are pixels from 0 to 1 (UINT8 of the v2 protocol: 0 to 255). Picture files come as base64 and are brought to the
model's form by the same code that prepared the training data.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distill_server.endpoints.endpoint import OneClass, instances_of
from distill_server.errors import RequestError
from distill_trainer.batch import Samples
from distill_trainer.data.images import BrokenPictureError, Form, decode
from distill_trainer.student import Student

Shape = tuple[int, int, int]
COLOURS = {1: True, 3: False}
"""Channels of picture files: whether they are grey."""


class Pictures(OneClass):
    """Images of one shape, as numbers or as files."""

    input_name = "images"

    def __init__(self, shape: Shape, classes: Sequence[str]) -> None:
        super().__init__(classes)
        self._shape = shape

    @classmethod
    def of(cls, student: Student) -> Pictures:
        """Of a student's shape."""
        return cls(student.picture_shape, student.classes)

    def of_v1(self, body: Any) -> Samples:
        """See Endpoint."""
        return Samples(images_of_v1(body, self._shape))

    def of_v2(self, datatype: str, array: Any, name: str) -> Samples:
        """See Endpoint."""
        return Samples(images_of_v2(datatype, array, self._shape, name=name))

    def input_types(self) -> list[dict[str, Any]]:
        """See Endpoint."""
        return [{"name": self.input_name, "datatype": "FP32", "shape": [-1, *self._shape]}]

    def described(self) -> str:
        """See Endpoint."""
        return f"images of {described(self._shape)}"


def images_of_v1(body: Any, shape: Shape) -> Tensor:
    """`{"instances": [...]}`, read or as bytes → float32 [B, C, H, W]. Raises RequestError."""
    instances = instances_of(body, one="image", described=f"images of {described(shape)}")
    return torch.stack(
        [_instance(instance, shape, f"instances[{row}]") for row, instance in enumerate(instances)]
    )


def images_of_v2(datatype: str, array: Any, shape: Shape, *, name: str) -> Tensor:
    """One input tensor (numpy) of the v2 protocol → float32 [B, C, H, W]. Raises RequestError."""
    if datatype == "BYTES":
        cells = np.asarray(array, dtype=object).reshape(-1).tolist()
        return torch.stack([_file(cell, shape, f"inputs {name!r} [{row}]") for row, cell in enumerate(cells)])
    if datatype not in {"UINT8", "FP16", "FP32", "FP64"}:
        raise RequestError(
            f"inputs {name!r} has datatype {datatype}: send FP32 from 0 to 1, UINT8, or BYTES with picture files"
        )
    images = _batch(np.asarray(array), shape, name)
    return images / 255 if datatype == "UINT8" else _within_range(images, f"inputs {name!r}")


def described(shape: Shape) -> str:
    """What one image looks like, for messages."""
    channels, height, width = shape
    plain = f"[{height}, {width}] or " if channels == 1 else ""
    return f"shape {plain}[{channels}, {height}, {width}]"


def _instance(instance: Any, shape: Shape, where: str) -> Tensor:
    if isinstance(instance, dict):
        if set(instance) != {"b64"}:
            raise RequestError(
                f'{where} has the keys {", ".join(instance) or "none"}: a picture file is {{"b64": "…"}}'
            )
        return _file(instance["b64"], shape, where)
    try:
        array = np.asarray(instance)
    except ValueError as error:
        raise RequestError(
            f"{where} has rows of different lengths: images have {described(shape)}"
        ) from error
    if array.dtype.kind not in "uif":
        raise RequestError(
            f"{where} holds {type(instance).__name__}, not numbers: images have {described(shape)}"
        )
    if array.shape not in _allowed(shape):
        raise RequestError(f"{where} has shape {list(array.shape)}: images have {described(shape)}")
    return _within_range(torch.from_numpy(array.astype(np.float32)).reshape(shape), where)


def _file(text: Any, shape: Shape, where: str) -> Tensor:
    channels, height, width = shape
    if channels not in COLOURS:
        raise RequestError(
            f"{where} is a picture file, but the model has {channels} channels: send numbers of {described(shape)}"
        )
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise RequestError(f"{where} is no base64: send a PNG or JPEG file in base64") from error
    try:
        return decode(content, Form(COLOURS[channels], height, width)).to(torch.float32) / 255
    except BrokenPictureError as error:
        raise RequestError(f"{where} cannot be read as a picture: {error}") from error


def _batch(array: Any, shape: Shape, name: str) -> Tensor:
    if not array.ndim or array.shape[1:] not in _allowed(shape) or not len(array):
        raise RequestError(
            f"inputs {name!r} has shape {list(array.shape)}: send a batch [B, …] of images of {described(shape)}"
        )
    return torch.from_numpy(array.astype(np.float32)).reshape(-1, *shape)


def _within_range(images: Tensor, where: str) -> Tensor:
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 1):  # also where one is NaN
        raise RequestError(
            f"{where} has pixels from {low:g} to {high:g}: they go from 0 to 1; divide bytes by 255"
        )
    return images


def _allowed(shape: Shape) -> Sequence[tuple[int, ...]]:
    return [shape, shape[1:]] if shape[0] == 1 else [shape]
