"""From what a source calls its classes to indices 0 … K−1, the order of a model's outputs.

The order decides which output means what, so it is said to the user wherever it was inferred.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import torch
from torch import Tensor

from distill_trainer import mapped
from distill_trainer.data.suggest import did_you_mean
from distill_trainer.errors import ContractBroken

SHOWN = 20


def class_order(names: Iterable[str]) -> tuple[str, ...]:
    """Names in the order of the outputs: as text, but by value where every name is a whole number (1, 2, … 10)."""
    unique = set(names)
    numeric = all(name.isascii() and name.isdigit() for name in unique)
    return tuple(sorted(unique, key=(lambda name: (int(name), name)) if numeric else None))


def order_said(classes: Sequence[str], *, where: str) -> str:
    """The sentence that shows the order."""
    numeric = all(name.isascii() and name.isdigit() for name in classes)
    shown = ", ".join(classes[:SHOWN]) + (f", … ({len(classes)} in all)" if len(classes) > SHOWN else "")
    return f"classes are {where} in {'numeric' if numeric else 'text'} order: {shown}"


def by_name(names: Iterable[str], classes: Sequence[str], *, field: str) -> Tensor:
    """Indices (int64 [N]) of class names. Raises ContractBroken for a name that training does not know."""
    index = {name: position for position, name in enumerate(classes)}

    def known() -> Iterator[int]:
        for name in names:
            if name not in index:
                raise ContractBroken(
                    "UnknownClass",
                    f"{field} has the class {name!r}, which the training split has not "
                    f"(it has {', '.join(classes[:SHOWN])}){did_you_mean(name, classes)}",
                )
            yield index[name]

    return indices(known())


def indices(values: Iterable[int]) -> Tensor:
    """int64 [N], in a file: a list of a million takes tens of megabytes."""
    each = iter(values)
    parts = iter(lambda: list(islice(each, mapped.AT_ONCE)), [])
    return mapped.written(torch.tensor(part, dtype=torch.int64) for part in parts)


def count_from(labels: Iterable[Tensor], *, field: str) -> int:
    """How many classes integer labels mean: they count from 0, as a model's outputs do.

    Raises ContractBroken (LabelOutOfRange) for negative ones, and for more classes than samples, which are ids.
    """
    parts = [part for part in labels if len(part)]
    if not parts:
        return 0
    low, high = min(int(part.min()) for part in parts), max(int(part.max()) for part in parts)
    for part in parts:
        check_range(part, high + 1, field=field)
    samples = sum(map(len, parts))
    if high >= samples:
        raise ContractBroken(
            "LabelOutOfRange",
            f"{field} goes from {low} to {high} in {samples} samples: labels count the classes from 0; "
            "name the column of the class, or write the classes as text",
        )
    return high + 1


def check_range(labels: Tensor, classes: int, *, field: str) -> None:
    """Raise ContractBroken (LabelOutOfRange) unless every label is within 0 … classes − 1."""
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        wrong = ((labels < 0) | (labels >= classes)).nonzero().flatten()
        row = int(wrong[0])
        raise ContractBroken(
            "LabelOutOfRange",
            f"{field} is {int(labels[row])} in row {row} (and {len(wrong) - 1} more rows are wrong): "
            f"labels go from 0 to {classes - 1}; a label of −1 usually marks a split without labels",
        )


def absent_said(labels: Tensor, classes: Sequence[str]) -> tuple[str, ...]:
    """A sentence where the training data has no sample of some class."""
    counts = torch.bincount(labels, minlength=len(classes)).tolist()
    absent = [name for name, count in zip(classes, counts, strict=True) if not count]
    hint = "; labels count from 0" if absent[:1] == ["0"] else ""
    return (f"no training sample has the class {', '.join(absent[:SHOWN])}{hint}",) if absent else ()
