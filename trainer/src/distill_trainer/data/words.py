"""Sentences with a tag for each word, from a table's two columns of lists. Called by the task TokenClassification.

The label stands on a word's first token alone; its other tokens, and those that the tokenizer adds, do not count.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, chain
from typing import Any, Protocol

import torch
from torch import Tensor

from distill_api.dataset import Dataset
from distill_trainer.batch import Inputs, Samples
from distill_trainer.data import labels
from distill_trainer.data.dataset import Opened, Passage, SourceSplit
from distill_trainer.data.tables import Table, Tables, labels_of, row_ids
from distill_trainer.errors import ContractBroken


class Placed(Protocol):
    """Tokens [B, L] and the words that they are the first of."""

    @property
    def inputs(self) -> Inputs:
        """What the networks take."""

    @property
    def words(self) -> Tensor:
        """int64 [B, L], −1 where no word begins."""


class Encoder(Protocol):
    """Makes tokens of words."""

    def encode(self, sentences: Sequence[Sequence[str]]) -> Placed:
        """Padded to the longest."""

    def digest(self) -> str:
        """Digest of everything that decides the tokens."""


@dataclass(frozen=True)
class Tags:
    """Classes of the words of every row: `values` int64 [words of all rows], `starts` int64 [rows + 1]."""

    values: Tensor
    starts: Tensor

    def of(self, row: int) -> Tensor:
        """int64 [words]."""
        return self.values[self.starts[row] : self.starts[row + 1]]


class TaggedContent:
    """`read_words` gives one row's words."""

    def __init__(
        self, read_words: Callable[[int], list[str]], tags: Tags, encoder: Encoder, fields: tuple[str, str]
    ) -> None:
        """`fields` are the settings of words and tags, for messages."""
        self._read_words, self._tags, self._encoder, self._fields = read_words, tags, encoder, fields

    def read(self, rows: Tensor) -> Samples:
        """Tokens, labels and mask [B, L] of the rows."""
        placed = self._encoder.encode([self._read_words(row) for row in rows.tolist()])
        mask = placed.words >= 0
        labels = torch.zeros_like(placed.words)
        for place, row in enumerate(rows.tolist()):
            labels[place, mask[place]] = self._tags.of(row)[placed.words[place, mask[place]]]
        return Samples(placed.inputs, labels, mask)

    def shown(self, row: int) -> Passage:
        """The sentence, with the words that count."""
        words = self._read_words(row)
        placed = self._encoder.encode([words]).words[0]
        return Passage(tuple(words), tuple(placed[placed >= 0].tolist()))

    def digest(self) -> str:
        """Digest of every word and tag and of the encoder.

        Raises ContractBroken: EmptyText, TagsMismatch where a row has not as many tags as words.
        """
        return self._digest

    @functools.cached_property
    def _digest(self) -> str:
        content = hashlib.sha256(self._encoder.digest().encode())
        for row in range(len(self._tags.starts) - 1):
            words, tags = self._read_words(row), self._tags.of(row)
            self._refuse(row, len(words), len(tags))
            content.update("\0".join([str(len(words)), *words]).encode())
        content.update(self._tags.values.numpy().tobytes())
        return content.hexdigest()

    def _refuse(self, row: int, words: int, tags: int) -> None:
        of_words, of_tags = self._fields
        if not words:
            raise ContractBroken(
                "EmptyText",
                f"{of_words} has no word in row {row}: there is nothing to learn; leave such rows out",
            )
        if words != tags:
            raise ContractBroken(
                "TagsMismatch",
                f"{of_tags} has {tags} tags in row {row}, whose {of_words} has {words} words: give each word one tag",
            )


def tagged_sentences(tables: Tables, dataset: Dataset, encoder: Encoder) -> Opened:
    """A list of words and a list of tags each row. Raises ContractBroken."""
    columns = dataset.columns
    tables.require({"tokens": columns.tokens, "tags": columns.tags})
    lists = {
        split: functools.partial(_lists, split, table, columns.tags) for split, table in tables.splits.items()
    }
    flat = {
        split: replace(table, column=functools.partial(_tags, lists[split]))
        for split, table in tables.splits.items()
    }
    labelled = labels_of(Tables(tables.name, flat), dataset, field="tags")
    splits = {}
    for split, table in tables.splits.items():
        fields = tuple(f"dataset.columns.{name} of split {split!r}" for name in _named(dataset))
        content = TaggedContent(
            functools.partial(_words, table.cell, columns.tokens, fields[0]),
            Tags(labelled.indices[split], _starts(lists[split]())),
            encoder,
            (fields[0], fields[1]),
        )
        nothing = torch.zeros(table.length, dtype=torch.int64)  # a sample has no class of its own
        splits[split] = SourceSplit(row_ids(split, table), nothing, content)
    return Opened(tables.name, labelled.classes, None, splits, labelled.says)


def _named(dataset: Dataset) -> tuple[str, str]:
    return f"tokens ({dataset.columns.tokens})", f"tags ({dataset.columns.tags})"


def _tags(lists: Callable[[], Iterable[Sequence[Any]]], _column: str) -> Iterator[Any]:
    """Tags of all rows one after another."""
    return chain.from_iterable(lists())


def _starts(lists: Iterable[Sequence[Any]]) -> Tensor:
    """Where each row starts, int64 [rows + 1], in a file."""
    return labels.indices(accumulate(map(len, lists), initial=0))


def _lists(split: str, table: Table, column: str) -> Iterator[Sequence[Any]]:
    """Tags of each row. Raises ContractBroken."""
    for row, tags in enumerate(table.column(column)):
        if not isinstance(tags, list | tuple) or None in tags:
            raise ContractBroken(
                "LabelMissing",
                f"dataset.columns.tags ({column}) of split {split!r} holds no list of tags in row {row}: it is a list with "
                "the class of each word",
            )
        yield tags


def _words(cell: Callable[[str, int], object], column: str, field: str, row: int) -> list[str]:
    value = cell(column, row)
    if isinstance(value, list | tuple) and all(isinstance(word, str) for word in value):
        return list(value)
    raise ContractBroken(
        "TextMissing",
        f"{field} holds {type(value).__name__} in row {row}, not a list of words; name the column of the words",
    )
