"""Data: `describe` for the contract check, `load` for training and evaluation. Everything else here serves these two."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from distill_api.dataset import Dataset
from distill_trainer.data.arrange import arrange
from distill_trainer.data.broken import without_broken
from distill_trainer.data.dataset import DataSet, Description, Opened, Split
from distill_trainer.data.folders import fetched
from distill_trainer.data.sources import open_source
from distill_trainer.data.tables import pictures_of

__all__ = ["DataSet", "Description", "Opener", "Split", "describe", "fetched", "load", "open_pictures"]

Opener = Callable[[Dataset], Opened]
"""What a task makes of a source: pictures here, texts in the tasks that read them."""


def open_pictures(dataset: Dataset) -> Opened:
    """Pictures with a label each, from any source. Raises ContractBroken."""
    found = open_source(dataset)
    return found if isinstance(found, Opened) else pictures_of(found, dataset)


def describe(dataset: Dataset, *, seed: int = 0, opener: Opener = open_pictures) -> Description:
    """Name, classes, shape and sizes, with no picture decoded beyond its header.

    Raises ContractBroken, with a reason of its own for each fault and a sentence that names the field.
    """
    opened = opener(dataset)
    parts = arrange(opened, dataset, seed=seed)
    sizes = {"train": len(parts.train), "validation": len(parts.validation), "test": len(parts.test)}
    return Description(opened.name, opened.classes, opened.shape, sizes, opened.says + parts.says)


def load(dataset: Dataset, *, seed: int, opener: Opener = open_pictures) -> DataSet:
    """The data of one run; `seed` cuts splits that the source lacks and draws `dataset.limit`.

    Reads every file once for the digest, so a picture that is no picture is named or left out here and not hours later.
    Raises ContractBroken.
    """
    opened, warns = without_broken(opener(dataset), dataset)
    parts = arrange(opened, dataset, seed=seed)
    digests = "".join(part.digest() for part in (parts.train, parts.validation, parts.test))
    digest = "sha256:" + hashlib.sha256(digests.encode()).hexdigest()
    return DataSet(
        opened.name,
        opened.classes,
        opened.shape,
        parts.train,
        parts.validation,
        parts.test,
        digest,
        opened.says + parts.says,
        warns,
    )
