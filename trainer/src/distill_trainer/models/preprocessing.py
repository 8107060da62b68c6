"""A Transformers image processor's settings as arithmetic on a batch that is in [0, 1] already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from distill_trainer.errors import ContractBroken
from distill_trainer.models.source import Shape


@dataclass(frozen=True)
class Preprocessing:
    """Repeat grey into the model's channels, resize (bilinear, antialiased), normalise."""

    channels: int
    size: tuple[int, int] | None
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    flip: bool = False
    """Blue first, as networks were trained on what OpenCV reads (MobileViT)."""

    @classmethod
    def of(
        cls, processor: dict[str, Any], config: dict[str, Any], shape: Shape, *, field: str
    ) -> Preprocessing:
        """From preprocessor_config.json and config.json. Raises ContractBroken where the channels cannot fit."""
        channels = int(config.get("num_channels", 3))
        _refuse_other_channels(channels, shape, field)
        mean, std = _normalisation(processor, channels)
        flip = bool(processor.get("do_flip_channel_order"))
        return cls(channels, _wanted_size(processor, config), mean, std, flip)

    @classmethod
    def normalising(
        cls,
        channels: int,
        shape: Shape,
        mean: Sequence[float] | None,
        std: Sequence[float] | None,
        size: int | Sequence[int] | None,
        *,
        field: str,
    ) -> Preprocessing:
        """From what a library says of its networks; for other channel counts than it has values of, their mean.

        Raises ContractBroken where the channels cannot fit.
        """
        _refuse_other_channels(channels, shape, field)
        return cls(channels, _pair(size), _spread(mean, channels), _spread(std, channels))

    def apply(self, images: Tensor) -> Tensor:
        """[B, C, H, W] in [0, 1] → what the model was trained on."""
        if images.shape[1] != self.channels:
            images = images.expand(-1, self.channels, -1, -1)
        if self.size and tuple(images.shape[2:]) != self.size:
            images = F.interpolate(
                images,
                self.size,
                mode="bilinear",
                antialias=images.device.type != "meta",
                align_corners=False,
            )
        if self.mean and self.std:
            mean = torch.tensor(self.mean, device=images.device, dtype=images.dtype)[:, None, None]
            std = torch.tensor(self.std, device=images.device, dtype=images.dtype)[:, None, None]
            images = (images - mean) / std
        return images.flip(1) if self.flip else images


def _normalisation(
    processor: dict[str, Any], channels: int
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Mean and deviation of pictures in [0, 1]: the processor's own, where it brings pixels into another range those of that range.

    A processor makes x = 255·f·v − o of v in [0, 1] and then (x − m)/d, once or, with `include_top`, divided by d again.
    """
    # Of MobileViT, which is not normalised, Transformers writes a mean that nothing uses.
    unsaid = "image_mean" in processor and "do_flip_channel_order" not in processor
    normalise = processor.get("do_normalize", unsaid)
    rescale = processor.get("do_rescale", True)
    factor = 255 * float(processor.get("rescale_factor", 1 / 255)) if rescale else 255.0
    offset = 1.0 if rescale and processor.get("rescale_offset") else 0.0
    again = bool(normalise and processor.get("include_top"))
    if not normalise and (factor, offset) == (1.0, 0.0):
        return None, None
    mean = _per_channel(processor.get("image_mean", 0.5) if normalise else 0.0, channels)
    std = _per_channel(processor.get("image_std", 0.5) if normalise else 1.0, channels)
    return (
        tuple((value + offset) / factor for value in mean),
        tuple(value ** (2 if again else 1) / factor for value in std),
    )


def _refuse_other_channels(channels: int, shape: Shape, field: str) -> None:
    if shape[0] not in {1, channels}:
        raise ContractBroken(
            "InputShapeMismatch",
            f"{field} takes images of {channels} channel(s), the data has {shape[0]} ({_size(shape)}); "
            f"use a {field} for {shape[0]} channels",
        )


def _wanted_size(processor: dict[str, Any], config: dict[str, Any]) -> tuple[int, int] | None:
    """The crop where there is one, else the resize, else the config's own `image_size`."""
    for switch, key in (("do_center_crop", "crop_size"), ("do_resize", "size")):
        if processor.get(switch) and (size := _pair(processor.get(key))):
            return size
    return _pair(config.get("image_size"))


def _pair(size: Any) -> tuple[int, int] | None:
    if isinstance(size, dict):
        edge = size.get("shortest_edge")
        height, width = size.get("height", edge), size.get("width", edge)
        return (int(height), int(width)) if height and width else None
    if isinstance(size, int):
        return (size, size)
    return (int(size[0]), int(size[1])) if isinstance(size, Sequence) and len(size) == 2 else None


def _per_channel(value: float | Sequence[float], channels: int) -> tuple[float, ...]:
    values = [float(value)] if isinstance(value, int | float) else [float(item) for item in value]
    return tuple(values) if len(values) == channels else tuple(values[:1] * channels)


def _spread(values: Sequence[float] | None, channels: int) -> tuple[float, ...] | None:
    if not values or len(values) == channels:
        return tuple(values) if values else None
    return (sum(values) / len(values),) * channels


def _size(shape: Shape) -> str:
    return "×".join(str(side) for side in shape)
