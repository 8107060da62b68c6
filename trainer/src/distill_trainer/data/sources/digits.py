"""builtin `digits`: 1 797 handwritten digits of 8×8 pixels and 17 greys, which come inside scikit-learn.

The file is read from the package's folder: importing scikit-learn (and SciPy) for it would cost each pod seconds.
"""

from __future__ import annotations

import gzip
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from distill_api.dataset import Dataset
from distill_trainer.data.cut import TEST_SHARE, cut
from distill_trainer.data.dataset import ArrayPixels, Opened, SourceSplit
from distill_trainer.data.sources import source
from distill_trainer.errors import ContractBroken

SIDE = 8
WHITE = 16


@source("builtin/digits")
def open_digits(_: Dataset) -> Opened:
    """Splits `train` (1 438 samples) and `test` (359). Raises ContractBroken without scikit-learn.

    scikit-learn has one piece only. The test samples are chosen here once, not by the job's seed: a teacher trained
    with one seed would have seen the test samples of a student trained with another.
    """
    with gzip.open(_file(), "rt") as lines:
        table = torch.from_numpy(np.loadtxt(lines, delimiter=",", dtype=np.uint8))
    train, test = cut(table[:, -1], TEST_SHARE, seed=0)
    splits = {"train": _split(table, train), "test": _split(table, test)}
    return Opened("digits", tuple("0123456789"), (1, SIDE, SIDE), splits)


def _split(table: Tensor, rows: Tensor) -> SourceSplit:
    images = table[rows, :-1].reshape(-1, 1, SIDE, SIDE)
    ids = [f"digits/{row}" for row in rows.tolist()]
    return SourceSplit(ids, table[rows, -1].to(torch.int64), ArrayPixels(lambda: images, white=WHITE))


def _file() -> Path:
    spec = find_spec("sklearn")
    if spec is not None and spec.submodule_search_locations:
        path = Path(next(iter(spec.submodule_search_locations)), "datasets", "data", "digits.csv.gz")
        if path.is_file():
            return path
    raise ContractBroken(
        "DatasetNotFound",
        "dataset.builtin.name is 'digits', which comes inside scikit-learn, and this image has none: "
        "install distill-trainer[builtin], or use dataset.files",
    )
