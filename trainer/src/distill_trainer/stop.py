"""SIGTERM as a flag that the work looks at between steps. Standard library alone: installed before torch is imported.

As process 1 of a container a Python program without a handler would ignore the signal and be killed later, unsaved.
"""

from __future__ import annotations

import signal
import threading

from distill_trainer.errors import Disrupted


class StopSignal:
    """Whether somebody asked the trainer to stop."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def install(self) -> None:
        """Set the flag on SIGTERM and SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._event.set())

    def request(self) -> None:
        """Ask for it from within the process."""
        self._event.set()

    @property
    def requested(self) -> bool:
        """Whether the flag is set."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise Disrupted where the flag is set: for places with nothing to save."""
        if self.requested:
            raise Disrupted("stopped by a signal; the next start goes on from the last checkpoint")
