"""One run of one container: a process tree in namespaces of its own, its logs, its memory limit, its end.

`runner` starts a `ContainerProcess` for each run; hooks and exec probes use `run_inside`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import marshal
import os
import signal
import sys
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import psutil

import distill_local
from distill_local.node import logs
from distill_local.node.model import now

_PACKAGES = str(Path(distill_local.__file__).parent.parent)
_ENTER = (sys.executable, "-S", "-s", "-m", "distill_local.node.inside.enter")
_MEMORY_SECONDS = 0.5
_OUTPUT_AT_MOST = 10 * 1024
_Pipe = TypeVar("_Pipe")


class StartError(Exception):
    """Why a container's program could not be started."""


@dataclass(frozen=True)
class Mount:
    """A file or folder of this machine at a path of the container."""

    source: str
    target: str
    readonly: bool = False


@dataclass(frozen=True)
class Launch:
    """Everything `enter` needs to start a container."""

    argv: list[str]
    env: dict[str, str]
    cwd: str
    user: int
    group: int
    hostname: str
    mounts: list[Mount]
    hidden: list[str]
    devices: list[str]
    readonly: bool
    no_new_privileges: bool
    drop_capabilities: bool
    workspace: str
    network: int
    memory_limit: int | None = None


@dataclass(frozen=True)
class Exit:
    """How a process ended: the code a shell would show, and whether the node killed it for its memory."""

    code: int
    out_of_memory: bool
    started: datetime
    finished: datetime


def _opened(pipe: _Pipe | None) -> _Pipe:
    if pipe is None:
        raise RuntimeError("a pipe to the container's helper was not opened")
    return pipe


async def _start(
    spec: dict[str, Any], passed: tuple[int, ...]
) -> tuple[asyncio.subprocess.Process, asyncio.StreamReader]:
    """Start `enter` and return it with the stream of its answers."""
    reading, writing = os.pipe()
    try:
        helper = await asyncio.create_subprocess_exec(
            *_ENTER,
            str(writing),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=(writing, *passed),
            env={"PYTHONPATH": _PACKAGES},
            start_new_session=True,
        )
    finally:
        os.close(writing)
    answers = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(answers), os.fdopen(reading, "rb"))
    stdin = _opened(helper.stdin)
    stdin.write(marshal.dumps(spec))
    with contextlib.suppress(ConnectionError):
        await stdin.drain()
    stdin.close()
    return helper, answers


async def _answer(answers: asyncio.StreamReader) -> tuple[str, str]:
    """Return the helper's next word and its text, two empty ones when it is done."""
    word, _, text = (await answers.readline()).decode(errors="replace").rstrip("\n").partition(" ")
    return word, text


@dataclass
class ContainerProcess:
    """A running container."""

    pid: int
    helper: asyncio.subprocess.Process
    answers: asyncio.StreamReader
    pumps: list[asyncio.Task[None]]
    launch: Launch
    started: datetime = field(default_factory=now)
    out_of_memory: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    async def start(cls, launch: Launch, log: Path) -> ContainerProcess:
        """Start a container; StartError says why its program did not begin."""
        helper, answers = await _start(asdict(launch), (launch.network,))
        pumps = [
            asyncio.create_task(logs.record(_opened(helper.stdout), "stdout", log)),
            asyncio.create_task(logs.record(_opened(helper.stderr), "stderr", log)),
        ]
        try:
            word, text = await _answer(answers)
        except asyncio.CancelledError:
            helper.kill()  # the kernel ends the container with it
            raise
        if word != "pid":
            await helper.wait()
            await asyncio.gather(*pumps)
            raise StartError(text or logs.tail_of(log, 5) or "the container's set-up was killed")
        return cls(int(text), helper, answers, pumps, launch)

    async def wait(self) -> Exit:
        """Wait for the end; StartError if the program itself could not be executed."""
        watcher = asyncio.create_task(self._watch_memory())
        try:
            said = await _rest(self.answers)
            await self.helper.wait()
            await asyncio.gather(*self.pumps)
        finally:
            watcher.cancel()
            self.ended.set()
        if "error" in said:
            raise StartError(said["error"])
        return Exit(_exit_code(said.get("status")), self.out_of_memory, self.started, now())

    def record(self, file: Path) -> None:
        """Note which process this is, for a node that starts after this one was killed."""
        with contextlib.suppress(psutil.Error):
            file.write_text(json.dumps({"pid": self.pid, "created": psutil.Process(self.pid).create_time()}))

    def signal(self, number: int) -> None:
        """Send a signal to the container's first process."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    async def _watch_memory(self) -> None:
        limit = self.launch.memory_limit
        while limit is not None:
            await asyncio.sleep(_MEMORY_SECONDS)
            if _resident(self.pid) > limit and _proportional(self.pid) > limit:
                self.out_of_memory = True
                self.signal(signal.SIGKILL)
                return


def end_recorded(file: Path) -> None:
    """End the process that `record` noted, if it is still that process."""
    try:
        noted = json.loads(file.read_text())
        process = psutil.Process(noted["pid"])
        if process.create_time() == noted["created"]:
            process.kill()
    except (OSError, ValueError, KeyError, psutil.Error):
        return  # no such process, or never noted to the end: nothing to end


async def _rest(answers: asyncio.StreamReader) -> dict[str, str]:
    """Return everything the helper says until it is done."""
    said = {}
    while (answer := await _answer(answers))[0]:
        said[answer[0]] = answer[1]
    return said


def _exit_code(status: str | None) -> int:
    if status is None:
        return 128 + signal.SIGKILL  # the helper was killed, and its container with it
    code = os.waitstatus_to_exitcode(int(status))
    return code if code >= 0 else 128 - code


def _resident(pid: int) -> int:
    """Return the bytes of memory that a process tree cannot give back; a page that two share counts twice.

    Pages of files are left out, as a cgroup's limit lets the kernel take them back before it kills.
    """
    return _sum_of(pid, "status", {"RssAnon", "RssShmem"})


def _proportional(pid: int) -> int:
    """Return the same with shared pages split among those that share them: exact, and slow to read."""
    return _sum_of(pid, "smaps_rollup", {"Pss_Anon", "Pss_Shmem"})


def _sum_of(pid: int, file: str, names: set[str]) -> int:
    total = 0
    with contextlib.suppress(psutil.Error):
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            with contextlib.suppress(psutil.Error, OSError):
                lines = Path(f"/proc/{process.pid}/{file}").read_text(encoding="utf-8").splitlines()
                total += sum(int(line.split()[1]) * 1024 for line in lines if line.split(":")[0] in names)
    return total


async def run_inside(container: ContainerProcess, argv: list[str], seconds: float | None) -> tuple[int, str]:
    """Run a program in a running container and return its exit code and output; TimeoutError after `seconds`."""
    spec = asdict(container.launch) | {"join": container.pid, "argv": argv}
    helper, answers = await _start(spec, ())
    child = 0
    try:
        async with asyncio.timeout(seconds):
            word, first = await _answer(answers)
            child = int(first) if word == "pid" else 0
            output, errors = await helper.communicate()
            said = {word: first} | await _rest(answers)
    except TimeoutError:
        for pid in filter(None, (child, helper.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await helper.wait()
        raise
    text = (output + errors)[:_OUTPUT_AT_MOST].decode(errors="replace").strip()
    if "error" in said:
        return 126, said["error"]
    return _exit_code(said.get("status")), text
