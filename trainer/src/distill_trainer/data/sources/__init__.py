"""Sources of data, one file each. A new file with an `@source(…)` function is found without being listed anywhere.

Keys: `builtin/<name>` for data that is there, `files/<format>` for files on a volume, `huggingFace`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable

from distill_api.dataset import Dataset
from distill_trainer.data.dataset import Opened
from distill_trainer.data.suggest import did_you_mean
from distill_trainer.data.tables import Tables
from distill_trainer.errors import ContractBroken

Opener = Callable[[Dataset], Opened | Tables]
"""Pictures with their labels, or tables whose columns the task reads."""

_openers: dict[str, Opener] = {}


def source(*keys: str) -> Callable[[Opener], Opener]:
    """Register a function that opens the data of these keys."""

    def register(opener: Opener) -> Opener:
        _openers.update(dict.fromkeys(keys, opener))
        return opener

    return register


def openers() -> dict[str, Opener]:
    """Every source by key."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return dict(_openers)


def key_of(dataset: Dataset) -> str:
    """The key of a dataset's source."""
    if dataset.builtin:
        return f"builtin/{dataset.builtin.name}"
    return f"files/{dataset.files.format}" if dataset.files else "huggingFace"


def open_source(dataset: Dataset) -> Opened | Tables:
    """Find the source and open it. Raises ContractBroken (DatasetNotFound) where there is none of that name."""
    known, key = openers(), key_of(dataset)
    if key in known:
        return known[key](dataset)
    field = "dataset.builtin.name" if dataset.builtin else "dataset.files.format"
    kind, _, name = key.partition("/")
    names = sorted(other.partition("/")[2] for other in known if other.startswith(f"{kind}/"))
    raise ContractBroken(
        "DatasetNotFound", f"{field} is {name!r}: there are {', '.join(names)}{did_you_mean(name, names)}"
    )
