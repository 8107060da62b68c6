"""The outputs that are on the disk for one key, by sample of a split. Several processes may fill one folder at once.

Nothing is ever changed in place: a shard appears whole, and whoever looks again finds it. So no lock is needed; two that
compute the same samples at the same time waste work and spoil nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from distill_trainer import mapped
from distill_trainer.teacher_outputs.gather import Found, gather
from distill_trainer.teacher_outputs.ids import Places
from distill_trainer.teacher_outputs.shard import SUFFIX, Piece, Shard, Torn, read_shard, write_shard

HEAD_PREFIX = "head-"
TORN = ".torn"
LEFT_BEHIND_SECONDS = 24 * 3600
"""Drafts older than this are of a process that was killed while it wrote."""
log = logging.getLogger(__name__)


class OutputStore:
    """The shards of a folder, and where each sample of a split lies in them: 32 bytes a sample, in files."""

    def __init__(self, folder: Path, ids: Sequence[str]) -> None:
        self._folder = folder
        self._places = Places(ids)
        self._seen: set[str] = set()
        self._shards: list[Shard] = []
        self._shard = mapped.zeros((self._places.count,), torch.int32).fill_(-1).numpy()
        self._at = mapped.zeros((self._places.count,), torch.int32).numpy()
        folder.mkdir(parents=True, exist_ok=True)
        self._sweep()
        self.look_again()

    @property
    def folder(self) -> Path:
        """Where the shards lie."""
        return self._folder

    @property
    def nbytes(self) -> int:
        """Bytes of the shards that are used."""
        return sum((self._folder / name).stat().st_size for name in self._seen)

    def missing(self, rows: Tensor) -> Tensor:
        """Those of `rows` (places in the split, int64 [B]) that are not stored, each id once."""
        places = self._places.of[rows.numpy()]
        _, first = np.unique(places, return_index=True)
        keep = np.sort(first)
        return rows[keep[self._shard[places[keep]] < 0]]

    @property
    def complete(self) -> bool:
        """Whether every sample of the split is stored."""
        return bool((self._shard >= 0).all())

    @property
    def stored(self) -> int:
        """How many different samples of the split are stored."""
        return int((self._shard >= 0).sum())

    def add(self, piece: Piece) -> None:
        """Write a shard. Raises OSError."""
        self._take(write_shard(self._folder, piece))

    def look_again(self) -> None:
        """Find what other processes have written since; set aside what is torn."""
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            if path.name not in self._seen and not path.name.startswith((".", HEAD_PREFIX)):
                self._take(path)

    def read(self, rows: Tensor) -> Found:
        """What is stored of `rows`, in their order. Raises LookupError where one is missing."""
        places = self._places.of[rows.numpy()]
        shards = self._shard[places]
        if len(shards) and shards.min() < 0:
            raise LookupError(f"{int((shards < 0).sum())} of {len(shards)} samples are not in {self._folder}")
        return gather(self._shards, shards, self._at[places].astype(np.int64))

    def _take(self, path: Path) -> None:
        try:
            shard = read_shard(path)
        except Torn as fault:
            set_aside(path, str(fault))
            return
        except FileNotFoundError:  # somebody else set it aside
            return
        self._seen.add(path.name)
        found = [self._take_some(shard, span) for span in mapped.spans(len(shard))]
        if any(found):
            self._shards.append(shard)

    def _take_some(self, shard: Shard, span: slice) -> bool:
        """Whether some of these samples of the shard are of this split, and nowhere else."""
        ours, places = self._places.find(shard.digests[span])
        fresh = self._shard[places] < 0
        self._shard[places[fresh]] = len(self._shards)
        self._at[places[fresh]] = span.start + ours[fresh]
        return bool(fresh.any())

    def _sweep(self) -> None:
        for draft in self._folder.glob(".*.tmp"):
            try:
                if time.time() - draft.stat().st_mtime > LEFT_BEHIND_SECONDS:
                    draft.unlink()
            except FileNotFoundError:
                continue


def set_aside(path: Path, why: str) -> None:
    """Rename a file so that nobody reads it again and somebody can look at it."""
    log.warning("stored teacher outputs %s are set aside as %s%s: %s", path.name, path.name, TORN, why)
    try:
        path.replace(path.with_name(path.name + TORN))
    except FileNotFoundError:
        return
