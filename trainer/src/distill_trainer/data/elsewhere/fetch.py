"""From a place to a local folder with the same files: looked up, measured against limit and disk, fetched, looked up again.

What changed while it was fetched is fetched anew: the files are those of one moment.
"""

from __future__ import annotations

import logging
import shutil
import uuid
from pathlib import Path

from distill_trainer.data.elsewhere import scratch
from distill_trainer.data.elsewhere.download import Download, Progress
from distill_trainer.data.elsewhere.look import look
from distill_trainer.data.elsewhere.patience import TRIES, Patience
from distill_trainer.data.elsewhere.place import Asked, Listing, digest16, size_said
from distill_trainer.data.elsewhere.stores import open_store
from distill_trainer.errors import ContractBroken, UserError

log = logging.getLogger(__name__)
_seen: dict[Asked, Path] = {}


def local_copy(asked: Asked, progress: Progress | None = None) -> Path:
    """The folder with the files (or the file where the URI names one), fetched where it is not there.

    A process sees one state of a place, however often it asks. Raises UserError, and what `progress` raises.
    """
    if asked not in _seen:
        _seen[asked] = _local_copy(asked, progress or Progress())
    return _seen[asked]


def forget() -> None:
    """Look again at the next question."""
    _seen.clear()


def _local_copy(asked: Asked, progress: Progress) -> Path:
    root, name = scratch.scratch_root(), digest16(asked.place.id)
    store = open_store(asked.place)
    if not store.credentials:
        log.info("%s is read without credentials: none were found", asked.place.shown)
    patience = Patience(asked.place, store.credentials, progress.check)
    with scratch.alone(root / f"{name}.lock", progress.check):
        for _ in range(TRIES):
            found = patience.with_(lambda: look(asked.place, store))
            _refuse_too_much(asked, found)
            copy = root / f"{name}-{found.key() or uuid.uuid4().hex[:16]}"
            folder = copy / asked.place.name
            download = Download(asked, store, found, folder)
            if download.missing:
                _refuse_too_little_room(asked, root, download.needed)
                download.run(progress)
                if patience.with_(lambda: look(asked.place, store)).key() != found.key():
                    log.info("%s changed while it was fetched: once more", asked.place.shown)
                    shutil.rmtree(copy, ignore_errors=True)
                    continue
            scratch.use(copy)
            scratch.clean(root, name, copy)
            return folder / found.files[0].name if found.single else folder
    raise UserError(
        "DataChange",
        asked.place.says(
            f"it changed {TRIES} times while it was fetched: start the job when nobody writes there"
        ),
    )


def _refuse_too_much(asked: Asked, found: Listing) -> None:
    if found.size > asked.limit:
        said = f"{len(found.files):,} files of {size_said(found.size)} lie there"
        raise ContractBroken("DataTooLarge", asked.too_large(said))


def _refuse_too_little_room(asked: Asked, root: Path, needed: int) -> None:
    free = shutil.disk_usage(root).free
    if needed > free:
        raise UserError(
            "ScratchTooSmall",
            asked.place.says(
                f"{size_said(needed)} are to be fetched, and {root} has {size_said(free)} free: use a node with a larger disk "
                f"(resources.template.nodeSelector), or set {scratch.SCRATCH} to a folder with more room"
            ),
        )
