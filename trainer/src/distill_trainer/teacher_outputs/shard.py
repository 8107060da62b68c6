"""One file of the store: what the teacher said of some samples. Written whole, named by its content, read by mapping it.

`<digest 32>.safetensors` with `ids` uint8 [n, 16], `starts` int64 [n + 1] (sample i has the rows from starts[i] to
starts[i + 1]), `row.<name>` [rows, …] of the encoding, and `layer.<name>` [n, …]. As the name is the digest of the
content, writers that never heard of each other cannot overwrite what they do not know, and a file that is not what its
name says was torn.
"""

from __future__ import annotations

import os
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from distill_api.naming import short
from distill_trainer import mapped
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


class Joined:
    """Pieces that follow one another, in files until they are a shard."""

    def __init__(self) -> None:
        self._digests, self._counts = mapped.Spool(), mapped.Spool()
        self._rows = defaultdict[str, mapped.Spool](mapped.Spool)
        self._layers = defaultdict[str, mapped.Spool](mapped.Spool)

    def add(self, piece: Piece) -> None:
        """Append one. Raises UserError (ScratchFull)."""
        self._digests.add(as_tensor(piece.digests))
        self._counts.add(piece.counts)
        for spools, tensors in ((self._rows, piece.rows), (self._layers, piece.layers)):
            for name, tensor in tensors.items():
                spools[name].add(tensor)

    def __len__(self) -> int:
        return len(self._counts)

    @property
    def nbytes(self) -> int:
        """As that of a piece."""
        return sum(spool.nbytes for spool in (*self._rows.values(), *self._layers.values()))

    def whole(self) -> Piece:
        """One piece of all; nothing can be added any more."""
        return Piece(
            as_digests(self._digests.mapped()),
            self._counts.mapped(),
            {name: spool.mapped() for name, spool in self._rows.items()},
            {name: spool.mapped() for name, spool in self._layers.items()},
        )


def write_shard(folder: Path, piece: Piece) -> Path:
    """The file, on the disk before it has its name. Raises OSError."""
    starts = mapped.zeros((len(piece.counts) + 1,), torch.int64)
    torch.cumsum(piece.counts, 0, out=starts[1:])
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
    one_row_each = all(bool((part.diff() == 1).all()) for part in _with_next(starts))
    return Shard(as_digests(tensors["ids"]), starts, rows, layers, one_row_each)


def _with_next(starts: Tensor) -> Iterator[Tensor]:
    """Parts that each end with the first of the next."""
    return (starts[span.start : span.stop + 1] for span in mapped.spans(len(starts) - 1))


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
