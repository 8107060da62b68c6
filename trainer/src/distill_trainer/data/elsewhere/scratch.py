"""The folder that copies are kept in: one for each state of a place, used by any number of processes, fetched by one.

`<root>/<place>.lock` is held while one looks, fetches or cleans up; `<root>/<place>-<state>/.in-use` is held, shared, by
every process that reads the copy, until it ends. The kernel gives locks back whatever ends a process.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from distill_trainer.errors import UserError

SCRATCH = "DISTILL_SCRATCH"
"""Environment variable: where copies are kept, instead of ~/.cache/distill/data."""
_LOOK = 0.2
_held: list[int] = []
"""Locks of copies that this process reads."""


def scratch_root() -> Path:
    """The folder, made where it is missing, for this user alone. Raises UserError where it cannot be written to, or takes no locks."""
    own = os.environ.get(SCRATCH)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    root = Path(own) if own else cache / "distill" / "data"
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = root / f".probe.{os.getpid()}"
        with alone(probe, lambda: None):
            probe.unlink()
    except OSError as error:
        raise UserError(
            "ScratchNotWritable",
            f"{root}, where fetched data are kept, cannot be written to and locked ({error.strerror}): set {SCRATCH} to a folder that can",
        ) from error
    return root


@contextmanager
def alone(lock: Path, check: Callable[[], None]) -> Iterator[None]:
    """The only process that is here; `check` is called while another one is, and may raise."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while not _lock(descriptor, fcntl.LOCK_EX):
            check()
            time.sleep(_LOOK)
        yield
    finally:
        os.close(descriptor)


def use(copy: Path) -> None:
    """Nobody takes this copy away while this process lives."""
    descriptor = os.open(copy / ".in-use", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    _lock(descriptor, fcntl.LOCK_SH)
    _held.append(descriptor)


def clean(root: Path, place: str, keep: Path) -> None:
    """Take away earlier states of a place that nobody reads. To be called `alone`."""
    for copy in root.glob(f"{place}-*"):
        if copy != keep and _unused(copy):
            shutil.rmtree(copy, ignore_errors=True)


def _unused(copy: Path) -> bool:
    with suppress(OSError):
        descriptor = os.open(copy / ".in-use", os.O_RDWR | os.O_CLOEXEC)
        try:
            return _lock(descriptor, fcntl.LOCK_EX)
        finally:
            os.close(descriptor)
    return True


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
