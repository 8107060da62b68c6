"""Names of samples that are made, or read from a file, when they are asked for: a million of them as text would take 70 MB."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import overload

import torch
from torch import Tensor

from distill_trainer import mapped

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


class WrittenIds(MadeIds):
    """Any names, which are in a file: their bytes one after another, and where each starts."""

    def __init__(self, names: Iterable[str]) -> None:
        text, starts = mapped.Spool(), mapped.Spool()
        starts.add(torch.zeros(1, dtype=torch.int64))
        each = map(os.fsencode, names)
        for part in iter(lambda: list(islice(each, AT_ONCE)), []):
            starts.add(len(text) + torch.tensor(list(map(len, part))).cumsum(0))
            text.add(torch.frombuffer(bytearray(b"".join(part)), dtype=torch.uint8))
        self._text, self._starts = text.mapped().numpy(), starts.mapped().numpy()
        super().__init__(range(len(self._starts) - 1))

    def name(self, number: int) -> str:
        """See MadeIds."""
        first, end = self._starts[number : number + 2].tolist()
        return os.fsdecode(self._text[first:end].tobytes())


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
