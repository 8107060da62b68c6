"""Names of samples that are made when they are asked for: a million of them as text would take 70 MB."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import overload

from torch import Tensor

AT_ONCE = 10_000


class MadeIds(Sequence[str]):
    """A name for each of some numbers; a slice of them is a list."""

    def __init__(self, numbers: range | memoryview) -> None:
        self._numbers = numbers

    @abstractmethod
    def name(self, number: int) -> str:
        """The name that the number stands for."""

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [self.name(number) for number in self._numbers[place]]
        return self.name(self._numbers[place])


class NumberedIds(MadeIds):
    """`<prefix>0` … `<prefix><count − 1>`."""

    def __init__(self, prefix: str, count: int) -> None:
        super().__init__(range(count))
        self._prefix = prefix

    def name(self, number: int) -> str:
        """See MadeIds."""
        return f"{self._prefix}{number}"


class ChosenIds(MadeIds):
    """Those of others that stand at `rows` (int64 [N])."""

    def __init__(self, ids: Sequence[str], rows: Tensor) -> None:
        super().__init__(rows.contiguous().numpy().data)
        self._ids = ids

    def name(self, number: int) -> str:
        """See MadeIds."""
        return self._ids[number]


def in_parts(ids: Sequence[str], size: int = AT_ONCE) -> Iterator[Sequence[str]]:
    """All of them in order, some at once."""
    for first in range(0, len(ids), size):
        yield ids[first : first + size]
