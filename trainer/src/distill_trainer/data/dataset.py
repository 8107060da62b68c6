"""What training, evaluation and report see of the data: three splits of samples, whatever they come from.

A split reads its content when a batch asks for it, so a million pictures on a volume never lie in memory at once.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from distill_trainer import mapped
from distill_trainer.batch import Batch, Samples
from distill_trainer.data.sample_ids import ChosenIds, in_parts


@dataclass(frozen=True)
class Passage:
    """Words of a sample, and which of them (by place) its rows are: the first row is `words[counted[0]]`."""

    words: tuple[str, ...]
    counted: tuple[int, ...]


Shown = Tensor | str | Passage
"""One sample as people see it: a picture float32 [C, H, W] in [0, 1], a text, or words."""


class Split(Protocol):
    """One part of the data. `labels` is int64 [N]; `ids` names each sample the same way in every run."""

    ids: Sequence[str]
    labels: Tensor

    def __len__(self) -> int: ...

    def batch(self, indices: Tensor) -> Batch:
        """The samples at `indices` (int64 [B]), on the CPU."""
        ...

    def content_digest(self) -> str:
        """Digest of everything that the source's ids name, in this split or not: parts of one source share it."""
        ...

    def shown(self, index: int) -> Shown:
        """One sample as people see it."""
        ...


class Content(Protocol):
    """Where a source's samples are read from, by row."""

    def read(self, rows: Tensor) -> Samples:
        """Pictures as float32 [B, C, H, W] in [0, 1], texts as tokens; with labels where the content decides them."""
        ...

    def shown(self, row: int) -> Shown:
        """One sample as people see it."""
        ...

    def digest(self) -> str:
        """Hexadecimal digest of every sample's content."""
        ...


@dataclass(frozen=True)
class SourceSplit:
    """A part as the source holds it; `labels` is int64 [N] on the CPU, all 0 where samples have none of their own.

    Rows that are `left_out` belong to no part of the data.
    """

    ids: Sequence[str]
    labels: Tensor
    content: Content
    left_out: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.labels) - len(self.left_out)

    @property
    def rows(self) -> Tensor:
        """Those that count, int64, in order; in a file."""
        counts = torch.ones(len(self.labels), dtype=torch.bool)
        counts[list(self.left_out)] = False
        parts = mapped.spans(len(counts))
        return mapped.written(part.start + counts[part].nonzero().flatten() for part in parts)


@dataclass(frozen=True)
class Opened:
    """A source with nothing decoded yet. `splits` goes by the source's own names; `says` is told to the user.

    `shape` is (channels, height, width) of pictures, None where the samples are none.
    """

    name: str
    classes: tuple[str, ...]
    shape: tuple[int, int, int] | None
    splits: dict[str, SourceSplit]
    says: tuple[str, ...] = ()


class Selection:
    """Rows of a source's split, in the order given: what a `Split` is made of. Rows and labels are in files."""

    def __init__(self, source: SourceSplit, rows: Tensor) -> None:
        self._source = source
        self.rows = mapped.written(torch.split(rows, mapped.AT_ONCE))
        self.labels = mapped.written(source.labels[part] for part in torch.split(self.rows, mapped.AT_ONCE))
        self.ids: Sequence[str] = ChosenIds(source.ids, self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, indices: Tensor) -> Batch:
        """See Split."""
        places = indices.cpu()
        rows = self.rows[places]
        samples = self._source.content.read(rows)
        labels = self.labels[places] if samples.labels is None else samples.labels
        ids = [self._source.ids[row] for row in rows.tolist()]
        return Batch(ids, places, samples.inputs, labels, samples.mask)

    def shown(self, index: int) -> Shown:
        """See Split."""
        return self._source.content.shown(int(self.rows[index]))

    def content_digest(self) -> str:
        """See Split."""
        return self._source.content.digest()

    def digest(self) -> str:
        """Digest of the ids, the labels and the content they belong to."""
        content = hashlib.sha256(self._source.content.digest().encode())
        for number, part in enumerate(in_parts(self.ids)):
            content.update(("\0" if number else "").encode() + "\0".join(part).encode())
        content.update(self.labels.numpy().data)
        return content.hexdigest()


@dataclass(frozen=True)
class DataSet:
    """The data of one run. `shape` is (channels, height, width) of pictures; `says` are sentences for log, check and report.

    `warns` are sentences about samples that were left out.
    """

    name: str
    classes: tuple[str, ...]
    shape: tuple[int, int, int] | None
    train: Split
    validation: Split
    test: Split
    digest: str
    says: tuple[str, ...] = field(default=())
    warns: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Description:
    """What the contract check compares with teacher and student. `sizes` is samples of train, validation and test.

    `augmented` names what random changes samples go through, each time others; empty where a sample is always the same.
    """

    name: str
    classes: tuple[str, ...]
    shape: tuple[int, int, int] | None
    sizes: dict[str, int]
    says: tuple[str, ...] = field(default=())
    augmented: str = ""


class ArrayPixels:
    """Pictures that are one array, uint8 [N, C, H, W], read when first asked for; `white` is the value of 1.0."""

    def __init__(self, load: Callable[[], Tensor], *, white: int = 255) -> None:
        self._load = load
        self._white = white

    def read(self, rows: Tensor) -> Samples:
        """float32 [B, C, H, W] in [0, 1]."""
        return Samples(self._array[rows].to(torch.float32) / self._white)

    def shown(self, row: int) -> Tensor:
        """One picture."""
        return self._array[row].to(torch.float32) / self._white

    def digest(self) -> str:
        """Digest of the array."""
        return self._digest

    @functools.cached_property
    def _array(self) -> Tensor:
        return self._load()

    @functools.cached_property
    def _digest(self) -> str:  # asked for by each part that is cut from one array
        return hashlib.sha256(self._array.numpy().tobytes()).hexdigest()
