"""Texts of a table's column, read as tokens when a batch asks for them. Called by the tasks that read text."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor

from distill_trainer.batch import Samples
from distill_trainer.data.dataset import Opened, SourceSplit
from distill_trainer.data.tables import Tables
from distill_trainer.errors import ContractBroken


class Encoder(Protocol):
    """Makes tokens of texts; the same text is the same tokens whatever stands beside it, but for padding."""

    def encode(self, texts: Sequence[str]) -> Samples:
        """The batch's inputs, padded to its longest text."""

    def digest(self) -> str:
        """Digest of everything that decides the tokens."""


class TextContent:
    """`read_text` gives one row's text."""

    def __init__(self, read_text: Callable[[int], str], rows: int, encoder: Encoder, field: str) -> None:
        self._read_text = read_text
        self._rows = rows
        self._encoder = encoder
        self._field = field

    def read(self, rows: Tensor) -> Samples:
        """Tokens [B, L] of the rows."""
        return self._encoder.encode([self._read_text(row) for row in rows.tolist()])

    def shown(self, row: int) -> str:
        """The text."""
        return self._read_text(row)

    def digest(self) -> str:
        """Digest of every text and of the encoder. Raises ContractBroken (EmptyText) that counts the empty ones."""
        return self._digest

    @functools.cached_property
    def _digest(self) -> str:
        content, empty = hashlib.sha256(self._encoder.digest().encode()), []
        for row in range(self._rows):
            text = self._read_text(row)
            if not text.strip():
                empty.append(row)
            content.update(f"{len(text)}\0{text}".encode())
        if empty:
            more = f" and in {len(empty) - 1} more" if len(empty) > 1 else ""
            raise ContractBroken(
                "EmptyText",
                f"{self._field} is empty in row {empty[0]}{more}: there is nothing to learn from; leave such rows out",
            )
        return content.hexdigest()


def text_splits(
    tables: Tables,
    column: str,
    labels: dict[str, Tensor],
    ids: Callable[[str], Sequence[str]],
    encoder: Encoder,
) -> dict[str, SourceSplit]:
    """The column's texts with a label each (int64 [N] by split). Raises ContractBroken where a cell is no text."""
    splits = {}
    for split, table in tables.splits.items():
        field = f"dataset.columns.text ({column}) of split {split!r}"
        read = functools.partial(_text, table.cell, column, field)
        splits[split] = SourceSplit(
            ids(split), labels[split], TextContent(read, table.length, encoder, field)
        )
    return splits


def refuse_pictures(opened: Opened, task: str) -> ContractBroken:
    """The fault of a source that holds pictures where a task reads text."""
    return ContractBroken(
        "TaskMismatch",
        f"task is {task}, which reads text, and dataset {opened.name!r} holds pictures; name tables with a column of text",
    )


def _text(cell: Callable[[str, int], object], column: str, field: str, row: int) -> str:
    value = cell(column, row)
    if value is None:
        raise ContractBroken(
            "TextMissing",
            f"{field} is missing in row {row}: there is nothing to learn from; leave such rows out",
        )
    if not isinstance(value, str):
        raise ContractBroken(
            "TextMissing",
            f"{field} holds {type(value).__name__} in row {row}, not text; name the column of the text",
        )
    return value
