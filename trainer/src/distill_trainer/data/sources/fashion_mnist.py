"""builtin `fashion-mnist`: 70 000 pictures of clothes, 28×28 greys, of the Debian package dataset-fashion-mnist."""

from __future__ import annotations

import os
from pathlib import Path

from distill_api.dataset import Dataset
from distill_trainer.data.dataset import Opened
from distill_trainer.data.sources import source
from distill_trainer.data.sources.idx_files import open_idx_folder
from distill_trainer.errors import ContractBroken

PACKAGE_FOLDER = "usr/share/datasets/fashion-mnist"
DATA_DIR = "DISTILL_DATA_DIR"
"""Environment variable: a folder that the package was unpacked in, or one that holds fashion-mnist/."""
CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


@source("builtin/fashion-mnist")
def open_fashion_mnist(_: Dataset) -> Opened:
    """Splits `train` (60 000) and `test` (10 000). Raises ContractBroken where the package is not there."""
    for folder in _places():
        if (folder / "train-images-idx3-ubyte.gz").is_file():
            return open_idx_folder(folder, name="fashion-mnist", classes=CLASSES)
    raise ContractBroken(
        "DatasetNotFound",
        "dataset.builtin.name is 'fashion-mnist', and its files are in none of "
        f"{', '.join(map(str, _places()))}: install the Debian package dataset-fashion-mnist; or, without root, "
        f"`apt-get download dataset-fashion-mnist && dpkg -x dataset-fashion-mnist_*.deb DIR` and set {DATA_DIR}=DIR",
    )


def _places() -> list[Path]:
    own = os.environ.get(DATA_DIR)
    return ([Path(own, PACKAGE_FOLDER), Path(own, "fashion-mnist")] if own else []) + [
        Path("/", PACKAGE_FOLDER)
    ]
