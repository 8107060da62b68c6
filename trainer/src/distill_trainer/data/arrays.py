"""A picture as numbers in a table's cell: whole numbers are 0 … 255, fractions are 0 … 1; rows, or flat and square."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distill_trainer.data.images import BrokenPictureError, Form

COLOURS = (1, 3)
WHITE = 255


def shape_of(cell: Any) -> Form:
    """The form of a cell. Raises BrokenPictureError where it is no picture."""
    channels, height, width = _channels_first(_array(cell)).shape
    return Form(channels == 1, height, width)


def decode_numbers(cell: Any, form: Form) -> Tensor:
    """uint8 [C, H, W]; pictures of numbers are not resized. Raises BrokenPictureError."""
    array = _channels_first(_array(cell))
    if array.shape != form.shape:
        raise BrokenPictureError(f"its shape is {tuple(array.shape)}, that of most is {form.shape}")
    return torch.from_numpy(_bytes(array).copy())


def _array(cell: Any) -> np.ndarray[Any, np.dtype[Any]]:
    try:
        array = np.asarray(cell)
    except ValueError as error:
        raise BrokenPictureError("its rows differ in length") from error
    if array.dtype.kind not in "biuf":
        raise BrokenPictureError(f"it holds {type(cell).__name__}, not numbers")
    return array


def _channels_first(array: np.ndarray[Any, np.dtype[Any]]) -> np.ndarray[Any, np.dtype[Any]]:
    if array.ndim == 1:
        side = math.isqrt(len(array))
        if side * side != len(array) or side == 0:
            raise BrokenPictureError(
                f"it is flat with {len(array)} numbers, which is no square: write it as rows"
            )
        return array.reshape(1, side, side)
    if array.ndim == 2:
        return array[None]
    if array.ndim == 3 and array.shape[0] in COLOURS:
        return array
    if array.ndim == 3 and array.shape[2] in COLOURS:
        return array.transpose(2, 0, 1)
    raise BrokenPictureError(
        f"its shape is {array.shape}: pictures are [H, W], [C, H, W] or [H, W, C] with 1 or 3 colours"
    )


def _bytes(array: np.ndarray[Any, np.dtype[Any]]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    top = 1 if array.dtype.kind == "f" else WHITE
    if not bool(((array >= 0) & (array <= top)).all()):
        raise BrokenPictureError(
            f"it has numbers from {array.min()} to {array.max()}: whole numbers are 0 to 255, fractions 0 to 1"
        )
    return np.rint(array * WHITE).astype(np.uint8) if array.dtype.kind == "f" else array.astype(np.uint8)
