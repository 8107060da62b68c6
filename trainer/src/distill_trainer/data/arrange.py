"""From a source's own splits to train, validation and test: names, cuts by seed, limit, and what the user is told."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from distill_api.dataset import Dataset, Splits
from distill_trainer.data import cut
from distill_trainer.data.dataset import Opened, Selection, SourceSplit
from distill_trainer.data.suggest import did_you_mean
from distill_trainer.errors import ContractBroken

VALIDATION_ALIASES = ("valid", "val", "dev")


@dataclass(frozen=True)
class Arranged:
    """The three parts, and sentences about how they came about."""

    train: Selection
    validation: Selection
    test: Selection
    says: tuple[str, ...]


def arrange(opened: Opened, dataset: Dataset, *, seed: int) -> Arranged:
    """The parts of `dataset`. Splits the source has are used as they are; others are cut from train by `seed`.

    Raises ContractBroken (SplitNotFound, EmptySplit, SplitsOverlap).
    """
    _refuse_overlap(dataset.splits)
    _refuse_empty(opened, dataset.splits)
    parts = _Parts(opened, dataset.splits, seed)
    test = parts.of("test", cut.TEST_SHARE)
    validation = parts.of("validation", cut.VALIDATION_SHARE)
    train = parts.train(dataset.limit)
    for field, part in (("validation", validation), ("test", test), ("train", train)):
        _refuse_nothing_cut(opened, field, part)
    return Arranged(train, validation, test, tuple(parts.says))


class _Parts:
    """The rows of train that are not yet given away."""

    def __init__(self, opened: Opened, names: Splits, seed: int) -> None:
        self.says: list[str] = []
        self._opened = opened
        self._names = names
        self._seed = seed
        self._source = self._required("train")
        self._rows = self._source.rows
        self._whole = len(self._source)

    def of(self, field: str, share: float) -> Selection:
        """The split that the source has, or `share` of its whole train split."""
        name = getattr(self._names, field)
        if name in self._opened.splits:
            return _all(self._opened.splits[name])
        if field in self._names.model_fields_set and name != field:
            self._required(field)
        return self._cut(field, share)

    def train(self, limit: int | None) -> Selection:
        """What is left of train, and of that no more than `limit`."""
        rows = self._rows
        if limit is not None and limit > len(rows):
            self.says.append(
                f"dataset.limit {limit} is more than the {len(rows)} training samples: all are used"
            )
        elif limit is not None:
            rows = rows[cut.limited(self._source.labels[rows], limit, seed=self._seed)]
            self.says.append(
                f"dataset.limit keeps {len(rows)} of {len(self._rows)} training samples, by seed {self._seed}"
            )
        return Selection(self._source, rows)

    def _cut(self, field: str, share: float) -> Selection:
        left: Tensor = self._source.labels[self._rows]
        stays, off = cut.cut(left, share * self._whole / max(len(left), 1), seed=self._seed)
        rows, self._rows = self._rows[off], self._rows[stays]
        self.says.append(
            f"{field}: {len(rows)} samples ({share:.0%}) cut from train by seed {self._seed}{self._alias(field)}"
        )
        return Selection(self._source, rows)

    def _alias(self, field: str) -> str:
        for alias in VALIDATION_ALIASES if field == "validation" else ():
            if alias in self._opened.splits:
                return (
                    f"; the data has a split {alias!r}: set dataset.splits.validation to it if that is meant"
                )
        return ""

    def _required(self, field: str) -> SourceSplit:
        name, there = getattr(self._names, field), self._opened.splits
        if name in there:
            return there[name]
        raise ContractBroken(
            "SplitNotFound",
            f"dataset.splits.{field} is {name!r}, but {self._opened.name} has "
            f"{', '.join(sorted(there)) or 'no split'}{did_you_mean(name, there)}",
        )


def _all(source: SourceSplit) -> Selection:
    return Selection(source, source.rows)


def _refuse_overlap(names: Splits) -> None:
    for field in ("validation", "test"):
        if getattr(names, field) == names.train:
            raise ContractBroken(
                "SplitsOverlap",
                f"dataset.splits.{field} and dataset.splits.train are both {names.train!r}: the student would be measured "
                f"on what it was trained on; leave {field} out to have it cut from train",
            )


def _refuse_empty(opened: Opened, names: Splits) -> None:
    for field in ("train", "validation", "test"):
        name = getattr(names, field)
        if name in opened.splits and len(opened.splits[name]) == 0:
            raise ContractBroken(
                "EmptySplit",
                f"dataset.splits.{field} is {name!r}, and {opened.name} has no sample in it: "
                "put samples there or name another split",
            )


def _refuse_nothing_cut(opened: Opened, field: str, part: Selection) -> None:
    if not len(part):
        raise ContractBroken(
            "EmptySplit",
            f"{opened.name} has no split for {field} and too few training samples to cut one from them: "
            f"add samples, or a split, and name it in dataset.splits.{field}",
        )
