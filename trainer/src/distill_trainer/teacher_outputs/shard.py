"""One file of the store: what the teacher said of some samples. Written whole, named by its content, read by mapping it.

`<digest 32>.safetensors` with `ids` uint8 [n, 16], `starts` int64 [n + 1] (sample i has the rows from starts[i] to
starts[i + 1]), `row.<name>` [rows, …] of the encoding, and `layer.<name>` [n, …]. As the name is the digest of the
content, writers that never heard of each other cannot overwrite what they do not know, and a file that is not what its
name says was torn.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from distill_api.naming import short
from distill_trainer.files import sync
from distill_trainer.teacher_outputs.ids import Digests, as_digests, as_tensor
from distill_trainer.weights import file_digest

FORMAT = "distill-teacher-outputs/v1"
SUFFIX = ".safetensors"
_ROW, _LAYER = "row.", "layer."


class Torn(ValueError):  # noqa: N818
    """The file is not what was written."""


@dataclass(frozen=True)
class Piece:
    """Outputs of n samples. `counts` int64 [n] are the rows of each; `rows` [sum of counts, …], `layers` [n, …]."""

    digests: Digests
    counts: Tensor
    rows: Mapping[str, Tensor]
    layers: Mapping[str, Tensor]

    @property
    def nbytes(self) -> int:
        """What it takes in memory, and near enough on the disk."""
        return sum(tensor.nbytes for tensor in (*self.rows.values(), *self.layers.values()))


@dataclass(frozen=True)
class Shard:
    """A piece on the disk: its tensors are mapped, so what is not looked at takes no memory."""

    digests: Digests
    starts: Tensor
    rows: Mapping[str, Tensor]
    layers: Mapping[str, Tensor]
    one_row_each: bool

    def __len__(self) -> int:
        return len(self.digests)


def joined(pieces: list[Piece]) -> Piece:
    """One piece of several."""
    return Piece(
        np.concatenate([piece.digests for piece in pieces]),
        torch.cat([piece.counts for piece in pieces]),
        {name: torch.cat([piece.rows[name] for piece in pieces]) for name in pieces[0].rows},
        {name: torch.cat([piece.layers[name] for piece in pieces]) for name in pieces[0].layers},
    )


def write_shard(folder: Path, piece: Piece) -> Path:
    """The file, on the disk before it has its name. Raises OSError."""
    starts = torch.cat([torch.zeros(1, dtype=torch.int64), piece.counts.cumsum(0)])
    return write_tensors(
        folder,
        {
            "ids": as_tensor(piece.digests),
            "starts": starts,
            **{_ROW + name: tensor for name, tensor in piece.rows.items()},
            **{_LAYER + name: tensor for name, tensor in piece.layers.items()},
        },
    )


def read_shard(path: Path) -> Shard:
    """Map the file. Raises Torn, OSError."""
    tensors = read_tensors(path)
    rows = {name.removeprefix(_ROW): tensor for name, tensor in tensors.items() if name.startswith(_ROW)}
    layers = {
        name.removeprefix(_LAYER): tensor for name, tensor in tensors.items() if name.startswith(_LAYER)
    }
    starts = tensors["starts"]
    one_row_each = bool((starts.diff() == 1).all())
    return Shard(as_digests(tensors["ids"]), starts, rows, layers, one_row_each)


def write_tensors(folder: Path, tensors: Mapping[str, Tensor], prefix: str = "") -> Path:
    """`<prefix><digest 32>.safetensors`; the same tensors are always the same file. Raises OSError."""
    temporary = folder / f".{uuid.uuid4().hex}.tmp"
    try:
        save_file(
            {name: tensor.contiguous() for name, tensor in tensors.items()}, temporary, {"format": FORMAT}
        )
        target = folder / f"{prefix}{short(file_digest(temporary), 32)}{SUFFIX}"
        sync(temporary)
        temporary.replace(target)
        sync(folder)
    except SafetensorError as error:  # how the library says that the disk is full
        raise OSError(str(error)) from error
    finally:
        temporary.unlink(missing_ok=True)
    return target


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Map a file that `write_tensors` wrote. Raises Torn where its content is another, OSError."""
    if not path.stem.endswith(short(file_digest(path), 32)):
        raise Torn("its content does not have the digest that it is named by")
    with safe_open(os.fspath(path), framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dictionary
