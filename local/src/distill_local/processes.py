"""Start, watch and restart the cluster's programs. Runs in the supervisor, which is pid 1 of its namespace.

As pid 1 it also collects the processes that pods leave behind. Children are therefore waited for in one place only:
`subprocess.Popen` starts them, but nobody calls its wait().
"""

import asyncio
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from distill_local.components import Component

log = logging.getLogger(__name__)

_FIRST_DELAY, _LONGEST_DELAY = 0.5, 30.0
# A program that ran this long starts over with the shortest delay.
_STEADY_SECONDS = 60.0


@dataclass
class Running:
    """One component and its present process."""

    component: Component
    process: subprocess.Popen[bytes]
    started: float
    restarts: int = 0
    delay: float = _FIRST_DELAY
    last_exit: str = ""


def environment() -> dict[str, str]:
    """Return our environment without proxies: everything that is dialled in here is in here."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


class Processes:
    """The running components; `changed` is called after each exit so that the status can be written."""

    def __init__(self, logs: Path, changed: Callable[[], None]) -> None:
        self._logs = logs
        self._changed = changed
        self._running: dict[int, Running] = {}
        self._restarts: dict[str, int] = {}
        self._exits: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def restarts(self) -> dict[str, int]:
        """Return how often each component was restarted."""
        return dict(self._restarts)

    def last_exit(self, name: str) -> str:
        """Return how the component last ended, such as "exit status 1"; empty if it never did."""
        return self._exits.get(name, "")

    def start(self, component: Component) -> None:
        """Start `component`; from now on it is restarted whenever it ends."""
        self._restarts.setdefault(component.name, 0)
        process = self._spawn(component)
        self._running[process.pid] = Running(component, process, time.monotonic())

    def collect(self) -> None:
        """Collect every child that ended, our components and orphans of pods alike. Called on SIGCHLD."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if ended := self._running.pop(pid, None):
                self._restart_later(ended, os.waitstatus_to_exitcode(status))

    def _spawn(self, component: Component) -> subprocess.Popen[bytes]:
        with (self._logs / f"{component.name}.log").open("ab") as output:
            process = subprocess.Popen(
                component.argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment() | component.environment,
                start_new_session=True,
            )
        log.info("started %s as process %d", component.name, process.pid)
        return process

    def _restart_later(self, ended: Running, code: int) -> None:
        ended.process.returncode = code  # so that Popen does not wait for a process that is already collected
        name = ended.component.name
        self._exits[name] = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        if time.monotonic() - ended.started > _STEADY_SECONDS:
            ended.delay = _FIRST_DELAY
        log.warning("%s ended with %s; it starts again in %.1f s", name, self._exits[name], ended.delay)
        task = asyncio.get_running_loop().create_task(self._restart(ended))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._restarts[name] += 1
        self._changed()

    async def _restart(self, ended: Running) -> None:
        await asyncio.sleep(ended.delay)
        process = self._spawn(ended.component)
        delay = min(ended.delay * 2, _LONGEST_DELAY)
        self._running[process.pid] = Running(
            ended.component, process, time.monotonic(), ended.restarts + 1, delay
        )
