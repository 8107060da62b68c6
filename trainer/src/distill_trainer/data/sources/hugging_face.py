"""`huggingFace`: a data set of the hub, or of a local folder, through the `datasets` library; nothing remote is run."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distill_api.dataset import Columns, Dataset, HuggingFaceDataset
from distill_trainer import uris
from distill_trainer.data.extras import required
from distill_trainer.data.sample_ids import AT_ONCE
from distill_trainer.data.sources import source
from distill_trainer.data.tables import Table, Tables
from distill_trainer.errors import ContractBroken


@source("huggingFace")
def open_hugging_face(dataset: Dataset) -> Tables:
    """Every split of the data set; rows stay on disk, mapped into memory. Raises ContractBroken."""
    wanted = dataset.hugging_face or HuggingFaceDataset(id="")
    datasets = required("datasets", extra="huggingface", field="dataset.huggingFace")
    parts = _load(datasets, wanted, dataset.splits.train)
    tables = {split: _table(datasets, part, dataset.columns) for split, part in parts.items()}
    return Tables(_name(wanted), tables)


def _load(datasets: Any, wanted: HuggingFaceDataset, train: str) -> dict[str, Any]:
    place = wanted.id
    if uris.is_uri(place):
        folder = uris.resolve(place, field="dataset.huggingFace.id")
        if not folder.is_dir():
            raise ContractBroken(
                "DatasetNotFound", f"dataset.huggingFace.id is {place!r}: there is no such folder"
            )
        place = str(folder)
    datasets.disable_progress_bars()
    try:
        if Path(place, "dataset_dict.json").is_file():
            return dict(datasets.load_from_disk(place))
        if Path(place, "state.json").is_file():  # one part alone, which `save_to_disk` gives no name
            return {train: datasets.load_from_disk(place)}
        return dict(datasets.load_dataset(place, wanted.config, revision=wanted.revision, cache_dir=_cache()))
    except Exception as error:
        raise _not_found(wanted, error) from error


def _not_found(wanted: HuggingFaceDataset, error: Exception) -> ContractBroken:
    """The library's own first line, and what can be done: it raises a dozen kinds of exception for the same faults."""
    why = (str(error).strip().splitlines() or [type(error).__name__])[0][:400]
    if isinstance(error, ValueError) and "BuilderConfig" in why:
        return ContractBroken("DatasetNotFound", f"dataset.huggingFace.config is {wanted.config!r}: {why}")
    return ContractBroken(
        "DatasetNotFound",
        f"dataset.huggingFace.id is {wanted.id!r} (revision {wanted.revision or 'not given'}) and cannot be loaded: {why}; "
        "check id and revision, and that the pod reaches the hub, or copy the data to a volume and name it by pvc://",
    )


def _cache() -> str | None:
    """None is the library's own choice; a folder that can be written where the home directory is read-only."""
    if {"HF_DATASETS_CACHE", "HF_HOME"} & set(os.environ) or os.access(Path.home(), os.W_OK):
        return None
    return str(Path(tempfile.gettempdir(), "huggingface", "datasets"))


def _table(datasets: Any, part: Any, columns: Columns) -> Table:
    if isinstance(part.features.get(columns.image), datasets.Image):
        part = part.cast_column(
            columns.image, datasets.Image(decode=False)
        )  # decoded on demand, by our own rules
    alone = functools.cache(lambda name: part.select_columns([name]))  # a row of it decodes nothing else
    return Table(
        columns=part.column_names,
        length=len(part),
        column=lambda name: _values(part, name),
        cell=lambda name, row: alone(name)[row][name],
        class_names=_class_names(datasets, part.features),
    )


def _values(part: Any, column: str) -> Iterator[Any]:
    plain = part.with_format(None).select_columns([column])
    for first in range(0, len(part), AT_ONCE):
        yield from plain[first : first + AT_ONCE][column]


def _class_names(datasets: Any, features: Any) -> dict[str, tuple[str, ...]]:
    """Declared names by column, of classes and of lists of them."""
    inner = {column: getattr(feature, "feature", feature) for column, feature in features.items()}
    return {
        column: tuple(feature.names)
        for column, feature in inner.items()
        if isinstance(feature, datasets.ClassLabel)
    }


def _name(wanted: HuggingFaceDataset) -> str:
    return wanted.id.rstrip("/").rpartition("/")[2] if uris.is_uri(wanted.id) else wanted.id
