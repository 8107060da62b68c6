"""Data: `describe` for the contract check, `load` for training and evaluation. Everything else here serves these two."""

from __future__ import annotations

import hashlib

from distill_api.sources import Dataset
from distill_trainer.data.arrange import arrange
from distill_trainer.data.dataset import DataSet, Description, Split
from distill_trainer.data.sources import open_source

__all__ = ["DataSet", "Description", "Split", "describe", "load"]


def describe(dataset: Dataset, *, seed: int = 0) -> Description:
    """Name, classes, shape and sizes, with no picture decoded beyond its header.

    Raises ContractBroken, with a reason of its own for each fault and a sentence that names the field.
    """
    opened = open_source(dataset)
    parts = arrange(opened, dataset, seed=seed)
    sizes = {"train": len(parts.train), "validation": len(parts.validation), "test": len(parts.test)}
    return Description(opened.name, opened.classes, opened.shape, sizes, opened.says + parts.says)


def load(dataset: Dataset, *, seed: int) -> DataSet:
    """The data of one run; `seed` cuts splits that the source lacks and draws `dataset.limit`.

    Reads every file once for the digest, so a picture that is no picture is named here and not hours later.
    Raises ContractBroken.
    """
    opened = open_source(dataset)
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
    )
