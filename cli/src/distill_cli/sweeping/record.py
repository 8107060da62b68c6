"""sweep.json: what came of each trial, written after every one, so that an interrupted sweep goes on with what is missing."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from distill_cli.errors import CommandError

FORMAT = "distill-sweep/v1"
FILE = "sweep.json"


@dataclass(frozen=True)
class Row:
    """One trial. `validation` is the metric on the validation split with its bootstrap interval; None where it failed.

    `again` is true where another try could end otherwise: the trainer was killed, say.
    """

    values: Mapping[str, float]
    seed: int
    recipe: str
    folder: str
    reason: str
    message: str = ""
    validation: Mapping[str, float] | None = None
    samples: int = 0
    best_epoch: int = 0
    seconds: float = 0.0
    again: bool = False


class Record:
    """The rows of a sweep by recipe, on disk."""

    def __init__(self, file: Path) -> None:
        """Raises CommandError where the file is something else."""
        self._file = file
        self._rows = {row.recipe: row for row in _read(file)}

    def done(self, recipe: str) -> Row | None:
        """What came of a recipe, where that stands."""
        row = self._rows.get(recipe)
        return None if row is None or row.again or not _is_there(row) else row

    def add(self, row: Row) -> None:
        """Keep a row."""
        self._rows[row.recipe] = row
        self._write({"rows": self._documents()})

    def finish(self, rows: list[Row], summary: Mapping[str, Any]) -> None:
        """The sweep's own rows and what follows from them; those of other sweeps in this folder stay."""
        self._rows |= {row.recipe: row for row in rows}
        self._write({**summary, "rows": self._documents()})

    def _documents(self) -> list[dict[str, Any]]:
        return [asdict(replace(row, values=dict(row.values))) for row in self._rows.values()]

    def _write(self, document: Mapping[str, Any]) -> None:
        draft = self._file.with_suffix(".tmp")
        text = json.dumps({"format": FORMAT, **document}, indent=2, ensure_ascii=False)
        with draft.open("w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._file)


def _is_there(row: Row) -> bool:
    """Whether the student of a trial that succeeded still is where it was."""
    return row.validation is None or Path(row.folder).is_dir()


def _read(file: Path) -> list[Row]:
    if not file.exists():
        return []
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        rows = [Row(**row) for row in document["rows"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CommandError(
            f"{file} cannot be read as the record of a sweep ({error}): move it away, or name another folder with --output DIR"
        ) from error
    if document.get("format") != FORMAT:
        raise CommandError(
            f"{file} has format {document.get('format')}, this version reads {FORMAT}: move it away"
        )
    return rows
