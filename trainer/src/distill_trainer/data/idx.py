"""The IDX format of MNIST and its family (http://yann.lecun.com/exdb/mnist): a header, then bytes; gzipped or plain."""

from __future__ import annotations

import gzip
import math
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np
import torch
from torch import Tensor

from distill_trainer.errors import ContractBroken

UNSIGNED_BYTES = 0x08
COLOURS = (1, 3)


@dataclass(frozen=True)
class IdxFile:
    """A file whose header is read. `shape` is that of the array: [N] for labels, [N, H, W] or with colours for images."""

    path: Path
    shape: tuple[int, ...]

    @classmethod
    def at(cls, path: Path) -> IdxFile:
        """Read the header. Raises ContractBroken where the file is no IDX file of bytes."""
        try:
            with _open(path) as file:
                return cls(path, _header(file, path))
        except (OSError, EOFError) as error:
            raise _torn(path, str(error)) from error

    def read(self) -> Tensor:
        """The array, uint8. Raises ContractBroken where the file ends early."""
        try:
            with _open(self.path) as file:
                _header(file, self.path)
                content = file.read(math.prod(self.shape))
        except (OSError, EOFError) as error:
            raise _torn(self.path, str(error)) from error
        if len(content) != math.prod(self.shape):
            raise _torn(self.path, f"it has {len(content)} of {math.prod(self.shape)} bytes")
        return torch.from_numpy(np.frombuffer(content, dtype=np.uint8).reshape(self.shape).copy())

    def picture_shape(self) -> tuple[int, int, int]:
        """(channels, height, width). Raises ContractBroken where the array holds no pictures."""
        if len(self.shape) == 3:
            return (1, self.shape[1], self.shape[2])
        if len(self.shape) == 4 and self.shape[1] in COLOURS:
            return (self.shape[1], self.shape[2], self.shape[3])
        if len(self.shape) == 4 and self.shape[3] in COLOURS:
            return (self.shape[3], self.shape[1], self.shape[2])
        raise ContractBroken(
            "FormatMismatch",
            f"dataset.files: {self.path.name} holds an array of shape {self.shape}; pictures are [N, H, W], or with 1 or 3 colours",
        )

    def read_pictures(self) -> Tensor:
        """uint8 [N, C, H, W]."""
        array, (channels, height, width) = self.read(), self.picture_shape()
        if array.dim() == 4 and array.shape[1] != channels:
            return array.permute(0, 3, 1, 2).contiguous()
        return array.reshape(-1, channels, height, width)


def _open(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def _header(file: IO[bytes], path: Path) -> tuple[int, ...]:
    start = file.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] != UNSIGNED_BYTES or not 1 <= start[3] <= 4:
        raise ContractBroken(
            "FormatMismatch",
            f"dataset.files.format is Idx, but {path.name} does not start as an IDX file of bytes does: name its own format",
        )
    sizes = file.read(4 * start[3])
    if len(sizes) < 4 * start[3]:
        raise _torn(path, "its header is cut")
    return tuple(int(size) for size in np.frombuffer(sizes, dtype=">u4"))


def _torn(path: Path, why: str) -> ContractBroken:
    return ContractBroken(
        "FileTorn", f"dataset.files: {path.name} cannot be read whole ({why}): copy it again"
    )
