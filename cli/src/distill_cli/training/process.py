"""The trainer as a child process: started, listened to, asked to stop. The same program as in the cluster's pods.

A process of its own, so that whatever becomes of it (out of memory, a crash in a library, a kill) is a sentence here
and costs at most the steps since the last checkpoint. What it says comes as JSON lines; how it ended as in a pod, by
exit code and outcome file. It has a session of its own: Ctrl-C reaches this program alone, which passes it on once.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from distill_api.contract import PROCESSES_VARIABLE, Outcome, TrainerConfig

Event = dict[str, Any]
"""One JSON line of the trainer; `event` is `progress` or `log`."""


class TrainerProcess:
    """One training in so many `processes`; its standard error is appended to `log`, `scratch` holds config and outcome."""

    def __init__(self, config: TrainerConfig, log: Path, scratch: Path, processes: int = 1) -> None:
        file = scratch / "trainer.json"
        file.write_text(json.dumps(config.wire(), indent=2), encoding="utf-8")
        self._outcome = scratch / "outcome.json"
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "distill_trainer", "train", "--json", "--config", str(file)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=os.environ | _environment(self._outcome) | _several(processes),
                start_new_session=True,
            )
        self._asked = 0

    @property
    def asked_to_stop(self) -> bool:
        """Whether somebody pressed Ctrl-C or sent a signal."""
        return self._asked > 0

    def events(self) -> Iterator[Event]:
        """What it says, until it ends."""
        assert self._process.stdout is not None  # noqa: S101 - it was asked for above
        for line in self._process.stdout:
            yield _event(line.decode("utf-8", "replace").rstrip("\n"))

    def wait(self) -> int:
        """Its exit code; negative for the number of the signal that killed it."""
        return self._process.wait()

    def outcome(self) -> Outcome | None:
        """How it says that it ended; None where it could not say anything."""
        try:
            return Outcome.model_validate_json(self._outcome.read_bytes())
        except (OSError, ValidationError):
            return None

    @contextmanager
    def passing_signals_on(self) -> Iterator[None]:
        """Ctrl-C, an end of the terminal or SIGTERM ask it to checkpoint and end; the second time it is killed."""
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, lambda *_: self._ask()) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            if self._process.poll() is None:  # this program failed: nothing is left running
                self._process.terminate()
                self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()

    def _ask(self) -> None:
        self._asked += 1
        if self._asked == 1:
            self._process.terminate()
        else:
            os.killpg(self._process.pid, signal.SIGKILL)  # with those that it started


def _environment(outcome: Path) -> dict[str, str]:
    """Any free port on this machine alone: nobody but this program looks."""
    return {
        "DISTILL_TERMINATION_LOG": str(outcome),
        "DISTILL_HTTP_HOST": "127.0.0.1",
        "DISTILL_HTTP_PORT": "0",
        "PYTHONUNBUFFERED": "1",
    }


def _several(processes: int) -> dict[str, str]:
    """For the trainer to start them itself, as in a pod: on a free port, with this machine's cores shared out."""
    if processes == 1:
        return {}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return {
        PROCESSES_VARIABLE: str(processes),
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS") or str(os.cpu_count() or processes),
    }


def _event(line: str) -> Event:
    """A line that is no event is what some library printed."""
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    if isinstance(event, dict) and "event" in event:
        return event
    return {"event": "log", "level": "INFO", "logger": "print", "message": line}
