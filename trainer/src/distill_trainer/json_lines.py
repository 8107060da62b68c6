"""`--json`: progress and log as JSON documents, one a line, on standard output. For programs that start the trainer.

`{"event": "progress", …status.Progress}` and `{"event": "log", "level", "logger", "message"}`; fields may be added.
"""

from __future__ import annotations

import json
import logging
from typing import Any, TextIO

from distill_api.status import Progress
from distill_trainer.stop import StopSignal


class JsonLines:
    """The writer. Where nobody reads any more the run is asked to stop: it checkpoints and ends."""

    def __init__(self, out: TextIO, stop: StopSignal) -> None:
        self._out = out
        self._stop = stop

    def progress(self, progress: Progress) -> None:
        """Every change of the board."""
        self._write({"event": "progress", **progress.wire()})

    def handler(self) -> logging.Handler:
        """Sends the log the same way."""
        return _Handler(self)

    def log(self, record: logging.LogRecord) -> None:
        """One line of the log, without its traceback."""
        told = {"level": record.levelname, "logger": record.name, "message": record.getMessage()}
        self._write({"event": "log", **told})

    def _write(self, document: dict[str, Any]) -> None:
        try:
            self._out.write(json.dumps(document, ensure_ascii=True) + "\n")
            self._out.flush()
        except OSError:
            self._stop.request()


class _Handler(logging.Handler):
    def __init__(self, lines: JsonLines) -> None:
        super().__init__(logging.INFO)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        """See logging."""
        self._lines.log(record)
