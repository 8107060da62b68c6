"""Find and end the processes of a cluster. Called by `up` (before it starts anew), by `down` and by `status`.

There is no file with a process id that could go stale: a supervisor is known by its command line, which names the cluster's folder.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

import psutil

from distill_local.errors import LocalClusterError
from distill_local.files import locked
from distill_local.layout import ClusterPaths, state_home

SUPERVISOR_MODULE = "distill_local.supervisor"
_END_SECONDS = 30.0

own_children: list[subprocess.Popen[bytes]] = []
"""Supervisors that this process started. They outlive it; those that end before it are collected by `stop`."""


def supervisor_processes(paths: ClusterPaths) -> list[psutil.Process]:
    """Return the cluster's `unshare` and, inside its namespaces, the supervisor; empty if it does not run."""
    # A process that was started a moment ago shows no command line yet; of our own we know it.
    ours = [
        psutil.Process(child.pid)
        for child in own_children
        if child.poll() is None and _is_supervisor(cast("Sequence[str]", child.args), paths.root)
    ]
    found = [process for process in psutil.process_iter() if _supervises(process, paths.root)]
    return [*ours, *(process for process in found if process not in ours)]


def _supervises(process: psutil.Process, root: Path) -> bool:
    try:
        return _is_supervisor(process.cmdline(), root)
    except psutil.Error:  # it ended while we looked, or is another user's
        return False


def _is_supervisor(command: Iterable[str], root: Path) -> bool:
    return f"-m {SUPERVISOR_MODULE} --state {root} " in " ".join(command) + " "


def is_running(paths: ClusterPaths) -> bool:
    """Return whether the cluster's supervisor runs."""
    return bool(supervisor_processes(paths))


def stop(paths: ClusterPaths) -> None:
    """End the supervisor and wait until it is gone; the kernel reports its end only after everything in its namespaces ended."""
    processes = supervisor_processes(paths)
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    _gone, alive = psutil.wait_procs(processes, timeout=_END_SECONDS)
    own_children[:] = [child for child in own_children if child.poll() is None]
    alive = [process for process in alive if still_runs(process)]
    if alive:
        pids = ", ".join(str(process.pid) for process in alive)
        msg = f"Process {pids} of the cluster {paths.root.name} did not end within {_END_SECONDS:.0f} s after SIGKILL; try again."
        raise LocalClusterError(msg)


def still_runs(process: psutil.Process) -> bool:
    """Return whether the process has not ended (one that ended and was not collected yet has)."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def down(name: str, *, keep_data: bool = False) -> bool:
    """Take the cluster down, remove its folder unless `keep_data`, and return whether there was anything to do."""
    paths = ClusterPaths.of(name)
    found = paths.root.exists() or is_running(paths)
    stop(paths)  # before the lock: an `up` that waits for this cluster then gives up, and releases it
    with locked(paths.lock):
        found = found or paths.root.exists()
        stop(paths)
        if not keep_data and paths.root.exists():
            _remove(paths.root)
        paths.lock.unlink(missing_ok=True)
    return found


def _remove(root: Path) -> None:
    """Remove the folder. Pods may have left folders without the right to write in them."""
    for folder, _, _ in os.walk(root):
        with contextlib.suppress(OSError):
            Path(folder).chmod(0o700)
    try:
        shutil.rmtree(root)
    except OSError as error:
        msg = f"{root} cannot be removed: {error}. Its processes are gone; remove it by hand."
        raise LocalClusterError(msg) from error


def cluster_names() -> list[str]:
    """Return the names of the clusters that have a folder."""
    home = state_home()
    return sorted(path.name for path in home.iterdir() if path.is_dir()) if home.exists() else []
