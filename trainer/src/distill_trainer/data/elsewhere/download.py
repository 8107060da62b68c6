"""Files into a folder, several at the same time, each whole or not at all.

A file is written under a hidden name and renamed when it is whole and on the disk: a crash at any moment leaves whole
files alone, which the next start goes on from.
"""

from __future__ import annotations

import logging
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from threading import Event, Lock
from typing import Any

from distill_trainer.data.elsewhere.look import AT_ONCE
from distill_trainer.data.elsewhere.patience import Ended, Patience
from distill_trainer.data.elsewhere.place import Asked, Listing, Place, RemoteFile, digest16, size_said
from distill_trainer.data.elsewhere.stores import Store
from distill_trainer.errors import ContractBroken
from distill_trainer.files import sync

log = logging.getLogger(__name__)
_LOOK = 0.5


class Progress:
    """Told how far it is, in bytes; asked often whether to go on, which it answers by raising."""

    def tell(self, done: int, total: int) -> None:
        """So many bytes of so many are here; the total is 0 where nobody knows it."""

    def check(self) -> None:
        """Raise to end it."""


class Download:
    """What of a listing is not in `folder` yet."""

    def __init__(self, asked: Asked, store: Store, found: Listing, folder: Path) -> None:
        self._asked, self._store, self._found, self._folder = asked, store, found, folder
        self.missing = [file for file in found.files if not _here(file, folder / file.name)]
        self._patience = Patience(asked.place, store.credentials, self._check)
        self._ended = Event()
        self._lock = Lock()
        self._bytes = found.size - self.needed

    @property
    def needed(self) -> int:
        """Bytes that are to come, as far as their number is known."""
        return sum(file.size or 0 for file in self.missing)

    def run(self, progress: Progress) -> None:
        """Fetch all that is missing. Raises UserError at the first that cannot be had, and what the progress raises."""
        place: Place = self._asked.place
        here = f"; {size_said(self._bytes)} are here" if self._bytes else ""
        log.info("fetching %s: %d files, %s%s", place.shown, len(self.missing), size_said(self.needed), here)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            left = {pool.submit(self._file, file) for file in self.missing}
            try:
                while left:
                    done, left = wait(left, timeout=_LOOK, return_when=FIRST_EXCEPTION)
                    for each in done:
                        each.result()
                    progress.check()
                    progress.tell(self._bytes, self._found.size)
            finally:
                self._ended.set()
                pool.shutdown(wait=True, cancel_futures=True)
        log.info("fetched %s", place.shown)

    def count(self, size: int) -> None:
        """So many bytes more have come, on any thread. Raises to end a file that is of no use any more."""
        self._check()
        with self._lock:
            self._bytes += size
            total = self._bytes
        if total > self._asked.limit:
            raise ContractBroken("DataTooLarge", self._asked.too_large("more came"))

    def _file(self, file: RemoteFile) -> None:
        target = self._folder / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        self._patience.with_(lambda: self._try(file, target))

    def _try(self, file: RemoteFile, target: Path) -> None:
        part = target.with_name(f".{digest16(target.name)}.part")
        counted = _counter(self)
        try:
            self._store.files.get_file(file.path, str(part), callback=counted, **self._store.options)
            _refuse_torn(file, part)
            sync(part)
            part.rename(target)
        except BaseException:
            with self._lock:
                self._bytes -= counted.value
            part.unlink(missing_ok=True)
            raise

    def _check(self) -> None:
        if self._ended.is_set():
            raise Ended


def _here(file: RemoteFile, path: Path) -> bool:
    """Whether a file is here, as large as it is there."""
    return path.is_file() and file.size in {None, path.stat().st_size}


def _refuse_torn(file: RemoteFile, part: Path) -> None:
    came = part.stat().st_size
    if file.size not in {None, came}:
        raise EOFError(f"{came} of {file.size} bytes came")


def _counter(download: Download) -> Any:
    from fsspec.callbacks import Callback  # noqa: PLC0415 - with the libraries, when something is fetched

    class Counter(Callback):  # type: ignore[misc]
        """fsspec tells it of each piece that came."""

        value: int

        def set_size(self, size: int | None) -> None:
            """A file begins, for the first time or anew."""
            download.count(-self.value)
            self.value = 0
            super().set_size(size)

        def relative_update(self, inc: int = 1) -> None:
            self.value += inc
            download.count(inc)

    return Counter()
