"""What an encoder makes of a document: its tokens, and which of them the student is trained to predict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Encoded:
    """Tokens of one document and whether each counts as a target. The first never does: nothing stands before it."""

    ids: Sequence[int]
    trained: Sequence[bool]


class Refused(Exception):  # noqa: N818
    """A cell that is no document; the text goes on a sentence that has named it, as in `is empty`."""


class Encoder(Protocol):
    """Turns the cells of a column into tokens; the same cell is the same tokens whatever stands beside it."""

    def encode(self, cells: Sequence[Any]) -> list[Encoded]:
        """The documents, whole. Raises Refused where a cell is none."""

    def digest(self) -> str:
        """Digest of everything that decides the tokens and what counts."""
