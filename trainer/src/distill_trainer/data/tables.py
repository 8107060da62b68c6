"""Tables and what a task makes of their columns, whoever reads them: Arrow files, or the `datasets` library."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from torch import Tensor

from distill_api.dataset import Dataset
from distill_trainer.data import labels
from distill_trainer.data.dataset import Opened, SourceSplit
from distill_trainer.data.pictures import DecodedPixels, Pictures, common_form
from distill_trainer.data.sample_ids import NumberedIds
from distill_trainer.data.suggest import did_you_mean
from distill_trainer.errors import ContractBroken


@dataclass(frozen=True)
class Table:
    """One split. `cell(column, row)` reads one cell, `column(name)` all of them one after another.

    `folder` is what relative paths of pictures start at.

    `class_names` are those that the source declares, by column.
    """

    columns: Sequence[str]
    length: int
    column: Callable[[str], Iterable[Any]]
    cell: Callable[[str, int], Any]
    folder: Path | None = None
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Tables:
    """A data set that is tables, by split."""

    name: str
    splits: dict[str, Table]

    def require(self, columns: dict[str, str]) -> None:
        """Raise ContractBroken (ColumnNotFound) unless every split has these columns, by field of `dataset.columns`."""
        for split, table in self.splits.items():
            for setting, column in columns.items():
                if column not in table.columns:
                    raise ContractBroken(
                        "ColumnNotFound",
                        f"dataset.columns.{setting} is {column!r}, but split {split!r} of {self.name} has the columns "
                        f"{', '.join(table.columns)}{did_you_mean(column, table.columns)}",
                    )


@dataclass(frozen=True)
class Labelled:
    """The class of every row: names, indices (int64 [N]) by split, and sentences about them."""

    classes: tuple[str, ...]
    indices: dict[str, Tensor]
    says: tuple[str, ...]


def pictures_of(tables: Tables, dataset: Dataset) -> Opened:
    """One picture and one label a row. Raises ContractBroken."""
    columns = dataset.columns
    tables.require({"image": columns.image, "label": columns.label})
    pictures = {split: _pictures(split, table, columns.image) for split, table in tables.splits.items()}
    form, said = common_form(list(pictures.values()))
    labelled = labels_of(tables, dataset)
    splits = {
        split: SourceSplit(pictures[split].ids, labelled.indices[split], DecodedPixels(pictures[split], form))
        for split in tables.splits
    }
    return Opened(tables.name, labelled.classes, form.shape, splits, (*labelled.says, *said))


def labels_of(tables: Tables, dataset: Dataset, *, field: str = "label") -> Labelled:
    """Classes come from names the source declares, else from the training split's labels; `field` is of dataset.columns.

    Raises ContractBroken.
    """
    train = dataset.splits.train
    classes, indices, told = _labels(tables.splits, getattr(dataset.columns, field), train, field)
    absent = labels.absent_said(indices[train], classes) if train in indices else ()
    return Labelled(classes, indices, (*told, *absent))


def row_ids(split: str, table: Table) -> Sequence[str]:
    """A row's name: its split and its place there."""
    return NumberedIds(f"{split}/", table.length)


def _pictures(split: str, table: Table, column: str) -> Pictures:
    return Pictures(
        row_ids(split, table),
        lambda row: picture_in(table.cell(column, row), table.folder),
        f"dataset.columns.image ({column})",
    )


def picture_in(cell: Any, folder: Path | None) -> Any:
    """What a cell means: bytes as they are, a path's file (relative to `folder`), Hugging Face's {bytes, path}, numbers.

    Raises OSError where a path leads nowhere.
    """
    if isinstance(cell, dict) and {"bytes", "path"} & set(cell):
        return cell["bytes"] if cell.get("bytes") is not None else picture_in(cell.get("path"), folder)
    if isinstance(cell, str):
        return (folder / cell if folder else Path(cell)).read_bytes()
    return cell


def _labels(
    tables: dict[str, Table], column: str, train: str, name: str
) -> tuple[tuple[str, ...], dict[str, Tensor], tuple[str, ...]]:
    """Class names, indices (int64 [N]) by split, and sentences."""
    values = {split: partial(_present, table, column, split) for split, table in tables.items()}
    field = f"dataset.columns.{name} ({column})"
    if any(isinstance(value, str) for found in values.values() for value in islice(found(), 1)):
        classes = labels.class_order(map(str, values.get(train, next(iter(values.values())))()))
        by_split = {
            split: labels.by_name(map(str, found()), classes, field=f"{field} of split {split!r}")
            for split, found in values.items()
        }
        return classes, by_split, (labels.order_said(classes, where=f"the values of column {column!r}"),)
    indices = {split: _whole_numbers(found(), field) for split, found in values.items()}
    names = next(
        (table.class_names[column] for table in tables.values() if column in table.class_names), None
    )
    classes = names or tuple(map(str, range(labels.count_from(indices.values(), field=field))))
    for split, rows in indices.items():
        labels.check_range(rows, len(classes), field=f"{field} of split {split!r}")
    return classes, indices, ()


def _present(table: Table, column: str, split: str) -> Iterator[Any]:
    """The column's values, one after another. Raises ContractBroken at the first that is missing."""
    for row, value in enumerate(table.column(column)):
        if value is None or (isinstance(value, str) and not value.strip()):
            raise ContractBroken(
                "LabelMissing",
                f"dataset.columns.label ({column}) is empty in row {row} of split {split!r}: "
                "label the sample or leave it out",
            )
        yield value


def _whole_numbers(values: Iterable[Any], field: str) -> Tensor:
    def whole() -> Iterator[int]:
        for value in values:
            if not (isinstance(value, int | float | Decimal) and value == value // 1):
                raise ContractBroken(
                    "LabelOutOfRange",
                    f"{field} is {str(value)[:60]!r}: a class is a whole number from 0, or a name",
                )
            yield int(value)

    return labels.indices(whole())
