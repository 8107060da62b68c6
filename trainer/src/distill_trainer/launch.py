"""The processes of one pod: as many as it has GPUs, started alike on each of the job's nodes, ended together.

The operator says how many in DISTILL_PROCESSES and DISTILL_NODES, Kubernetes which node this is (JOB_COMPLETION_INDEX).
`torchrun` would do the same but for the end: it gives its own exit code in place of the trainer's, which decides whether
Kubernetes tries again. Standard library alone: signals have to count before torch is imported.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from distill_api.contract import NODES_VARIABLE, PROCESSES_VARIABLE, RENDEZVOUS_PORT, ExitCode

PATIENCE = 60.0
"""Seconds that processes have to notice that one of them failed: waiting for a GPU they would not for half an hour."""
_LOOK = 0.2


@dataclass(frozen=True)
class Layout:
    """`nodes` pods of `processes` each; this is pod `node`, and pod 0 is reached at `address`."""

    nodes: int
    processes: int
    node: int = 0
    address: str = "127.0.0.1"
    port: int = RENDEZVOUS_PORT

    @property
    def world(self) -> int:
        """Processes of the whole training."""
        return self.nodes * self.processes

    def environments(self, base: Mapping[str, str]) -> list[dict[str, str]]:
        """What each process of this pod is told, as torchrun would; the pod's threads are shared out."""
        threads = int(base.get("OMP_NUM_THREADS") or self.processes)
        shared = {
            **base,
            "WORLD_SIZE": str(self.world),
            "LOCAL_WORLD_SIZE": str(self.processes),
            # Within pod 0 no name has to be known for the others to be met.
            "MASTER_ADDR": self.address if self.node else "127.0.0.1",
            "MASTER_PORT": str(self.port),
            "OMP_NUM_THREADS": str(max(threads // self.processes, 1)),
        }
        first = self.node * self.processes
        return [
            {**shared, "RANK": str(first + place), "LOCAL_RANK": str(place)}
            for place in range(self.processes)
        ]


def planned_world(environment: Mapping[str, str]) -> int:
    """How many processes the job's training has; 1 where nobody says."""
    return int(environment.get(NODES_VARIABLE, "1")) * int(environment.get(PROCESSES_VARIABLE, "1"))


def layout(environment: Mapping[str, str]) -> Layout | None:
    """What is to be started here; None for one process, and where somebody (torchrun) has started it already."""
    if "WORLD_SIZE" in environment or planned_world(environment) == 1:
        return None
    return Layout(
        nodes=int(environment.get(NODES_VARIABLE, "1")),
        processes=int(environment.get(PROCESSES_VARIABLE, "1")),
        node=int(environment.get("JOB_COMPLETION_INDEX", "0")),
        address=environment.get("MASTER_ADDR", "127.0.0.1"),
        port=int(environment.get("MASTER_PORT", str(RENDEZVOUS_PORT))),
    )


def launch(arguments: Sequence[str], found: Layout) -> int:
    """Start the processes, hand signals on to them, and wait for all; the exit code of the one that speaks for them."""
    command = [sys.executable, "-m", "distill_trainer", *arguments]
    children: list[subprocess.Popen[bytes]] = []
    heard: list[int] = []

    def hand_on(number: int, _frame: object) -> None:
        heard.append(number)
        _signal(children, number)

    for number in (
        signal.SIGTERM,
        signal.SIGINT,
    ):  # before the first child: process 1 of a pod would ignore them
        signal.signal(number, hand_on)
    for environment in found.environments(os.environ):
        children.append(subprocess.Popen(command, env=environment))  # noqa: PERF401 - signals see each at once
    for early in heard:
        _signal(children, early)
    return spoken(_ended(children))


def spoken(codes: Sequence[int]) -> int:
    """The first process's code, or where that ended well the first other's; what a signal ended counts as a shell says."""
    code = next((code for code in codes if code), 0)
    return code if code >= 0 else 128 - code


def _ended(children: Sequence[subprocess.Popen[bytes]]) -> list[int]:
    """Codes of all. Once one failed, what still runs after `PATIENCE` is ended: it waits for what never comes."""
    until: float | None = None
    while any(child.poll() is None for child in children):
        time.sleep(_LOOK)
        if until is None and any(_failed(child) for child in children):
            until = time.monotonic() + PATIENCE
        if until is not None and time.monotonic() > until:
            _signal(children, signal.SIGKILL)
    return [child.wait() for child in children]


def _failed(child: subprocess.Popen[bytes]) -> bool:
    """Ended otherwise than well or as asked: then the others may still write a checkpoint."""
    return child.poll() not in {None, ExitCode.SUCCEEDED, ExitCode.DISRUPTED}


def _signal(children: Sequence[subprocess.Popen[bytes]], number: int) -> None:
    for child in children:
        if child.poll() is None:
            child.send_signal(number)
