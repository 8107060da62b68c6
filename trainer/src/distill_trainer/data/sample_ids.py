"""Names of samples that are made when they are asked for: a million of them as text would take 70 MB."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

from torch import Tensor

AT_ONCE = 10_000


class NumberedIds(Sequence[str]):
    """`<prefix>0` … `<prefix><count − 1>`."""

    def __init__(self, prefix: str, count: int) -> None:
        self._prefix = prefix
        self._places = range(count)

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [f"{self._prefix}{number}" for number in self._places[place]]
        return f"{self._prefix}{self._places[place]}"


class ChosenIds(Sequence[str]):
    """Those of others that stand at `rows` (int64 [N])."""

    def __init__(self, ids: Sequence[str], rows: Tensor) -> None:
        self._ids = ids
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [self._ids[row] for row in self._rows[place].tolist()]
        return self._ids[int(self._rows[place])]

    def __iter__(self) -> Iterator[str]:
        for part in in_parts(self):
            yield from part


def in_parts(ids: Sequence[str], size: int = AT_ONCE) -> Iterator[Sequence[str]]:
    """All of them in order, some at once."""
    for first in range(0, len(ids), size):
        yield ids[first : first + size]
