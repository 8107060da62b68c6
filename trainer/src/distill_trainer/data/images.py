"""One picture: bytes or an array of numbers in, uint8 [C, H, W] out.

Pure but for Pillow's decoders. What differs from the majority of a data set is converted as a viewer would show it:
palettes and CMYK to RGB, transparency laid on white, 16-bit greys to 8 bits, EXIF rotations applied, then resized.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

GREY_MODES = frozenset({"1", "L", "LA", "La", "I;16", "I;16B", "I;16L", "I"})
SIXTEEN_BIT = frozenset({"I;16", "I;16B", "I;16L", "I"})
EXIF_ORIENTATION = 0x0112
TURNED_SIDEWAYS = range(5, 9)
TO_EIGHT_BITS = 257
SIXTEEN_BITS = 65535


class BrokenPictureError(ValueError):
    """Bytes that are no whole picture; the text says why."""


@dataclass(frozen=True)
class Form:
    """What all pictures of a data set are brought to."""

    grey: bool
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return (1 if self.grey else 3, self.height, self.width)

    def __str__(self) -> str:
        return f"{self.height}×{self.width} {'grey' if self.grey else 'RGB'}"


def form_of(content: bytes) -> Form:
    """A picture's form by its header. Raises BrokenPictureError."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
            if image.getexif().get(EXIF_ORIENTATION) in TURNED_SIDEWAYS:
                width, height = height, width
            return Form(image.mode in GREY_MODES, height, width)
    except Exception as error:
        raise BrokenPictureError(_why(content, error)) from error


def majority(forms: Sequence[Form]) -> tuple[Form, str]:
    """The form most pictures have, and a sentence about the others (empty where there are none)."""
    grey = Counter(form.grey for form in forms).most_common(1)[0][0]
    height, width = Counter((form.height, form.width) for form in forms).most_common(1)[0][0]
    form = Form(grey, height, width)
    others = [other for other in forms if other != form]
    if not others:
        return form, ""
    example = f"{others[0]}, …" if len(others) > 1 else str(others[0])
    return (
        form,
        f"{len(others)} of {len(forms)} pictures looked at are not {form} as most are ({example}): they are converted",
    )


def decode(content: bytes, form: Form) -> Tensor:
    """uint8 [C, H, W] of `form`. Raises BrokenPictureError."""
    try:
        with Image.open(io.BytesIO(content)) as opened:
            image = _converted(ImageOps.exif_transpose(opened), form)
    except Exception as error:
        raise BrokenPictureError(_why(content, error)) from error
    array = np.asarray(image)
    channels_last = array[:, :, None] if array.ndim == 2 else array
    return torch.from_numpy(channels_last.transpose(2, 0, 1).copy())


def _converted(image: Image.Image, form: Form) -> Image.Image:
    if image.mode == "F":
        raise BrokenPictureError(
            "its pixels are floating-point numbers, whose range nobody tells: convert it to 8 bits"
        )
    if image.mode in SIXTEEN_BIT:
        image = Image.fromarray(_eight_bits(np.asarray(image)))
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    image = image.convert("L" if form.grey else "RGB")
    if image.size != (form.width, form.height):
        image = image.resize((form.width, form.height), Image.Resampling.BILINEAR)
    return image


def _eight_bits(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Of 16 bits. Raises BrokenPictureError for values beyond: Pillow gives pixels of 32 bits the same way."""
    low, high = int(pixels.min()), int(pixels.max())
    if low < 0 or high > SIXTEEN_BITS:
        raise BrokenPictureError(
            f"its pixels go from {low} to {high}, and nobody tells which is white: convert it to 8 or 16 bits"
        )
    eight: NDArray[np.uint8] = (pixels.astype(np.uint32) // TO_EIGHT_BITS).astype(np.uint8)
    return eight


def _why(content: bytes, error: Exception) -> str:
    if not content:
        return "the file is empty"
    if isinstance(error, UnidentifiedImageError):
        return "it is no picture that Pillow knows"
    return str(error) or type(error).__name__
