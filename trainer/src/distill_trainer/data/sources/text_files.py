"""`files` of format Text: `<split>.txt` or `<split>/*.txt`, a document on each line that is not blank.

A line, as the `datasets` library has it too. Longer documents go into JSON Lines, where a text may have lines of its own.
"""

from __future__ import annotations

import mmap
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distill_api.dataset import Dataset, FileFormat
from distill_trainer.data.folders import files_root
from distill_trainer.data.sources import source
from distill_trainer.data.sources.table_files import files_by_split
from distill_trainer.data.tables import Table, Tables
from distill_trainer.errors import ContractBroken

COLUMN = "text"
_SUFFIXES = (".txt",)


@source(f"files/{FileFormat.TEXT}")
def open_text_files(dataset: Dataset) -> Tables:
    """Tables of one column, `text`. Raises ContractBroken."""
    root = files_root(dataset, file_allowed=True)
    files = files_by_split(root, _SUFFIXES)
    if not files:
        raise ContractBroken(
            "DatasetNotFound", f"dataset.files.uri: {root} has no file that ends in .txt (format Text)"
        )
    train = dataset.splits.train
    if len(files) == 1 and train not in files:
        files = {train: next(iter(files.values()))}
    return Tables(root.name, {split: _table(paths) for split, paths in files.items()})


def _table(paths: Sequence[Path]) -> Table:
    lines = Lines(paths)
    return Table(
        columns=(COLUMN,),
        length=len(lines),
        column=lambda _: (lines[row] for row in range(len(lines))),
        cell=lambda _, row: lines[row],
        folder=paths[0].parent,
    )


class Lines:
    """The lines of several files that are not blank, read from the files when they are asked for."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._files = [_mapped(path) for path in paths]
        bounds = [_line_bounds(content) for content in self._files]
        self._bounds = np.concatenate(bounds)
        self._file = np.repeat(np.arange(len(bounds)), [len(each) for each in bounds])
        self._paths = paths

    def __len__(self) -> int:
        return len(self._bounds)

    def __getitem__(self, row: int) -> str:
        number, (start, end) = self._file[row], self._bounds[row].tolist()
        try:
            return bytes(self._files[number][start:end]).decode().strip()
        except UnicodeDecodeError as error:
            raise ContractBroken(
                "FileTorn",
                f"dataset.files: {self._paths[number].name} is no UTF-8 text (byte {start + error.start}); convert it, as in "
                "iconv -f latin1 -t utf-8",
            ) from error


def _mapped(path: Path) -> Any:
    if not path.stat().st_size:
        return b""  # an empty file cannot be mapped
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _line_bounds(content: Any) -> NDArray[np.int64]:
    """Where each line that is not blank starts and ends, [N, 2]."""
    bounds, start = array("q"), 0
    while start < len(content):
        found = content.find(b"\n", start)
        end = len(content) if found < 0 else found
        if content[start:end].strip():
            bounds.extend((start, end))
        start = end + 1
    return np.asarray(bounds, dtype=np.int64).reshape(-1, 2)
