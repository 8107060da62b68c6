"""Computes what the store lacks: before the first epoch, in large batches, in the order of the split.

Before rather than along the way, for three reasons: batches that do not depend on the shuffle give the same last digits
whenever and in however many starts they are computed, so that a resumed run stays bit-equal; the outputs' fidelity is known
before the student learns from them; and every epoch takes the same time.

Several processes may fill one store. Each begins somewhere else on the ring of batches and leaves out what it finds
stored, so that they meet only where one has finished what the other was about to begin.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from distill_trainer.data import Split
from distill_trainer.errors import Disrupted, UserError
from distill_trainer.stop import StopSignal
from distill_trainer.teacher_outputs.encodings import Encoding, Rows, Tensors
from distill_trainer.teacher_outputs.fidelity import MEASURED_ROWS, Fidelity, kl_error
from distill_trainer.teacher_outputs.ids import id_digests, seeds
from distill_trainer.teacher_outputs.shard import Joined, Piece
from distill_trainer.teacher_outputs.store import OutputStore
from distill_trainer.teacher_outputs.teacher_pass import Said, TeacherPass

SHARD_BYTES = 64 * 2**20
SHARD_SECONDS = 30.0
"""A shard is written when one of both is reached: what a kill can cost."""


@dataclass(frozen=True)
class Filling:
    """What computes outputs. `at_once` samples make a batch; `temperature` is the one that fidelity is measured at."""

    teacher: TeacherPass
    encoding: Encoding
    split: Split
    device: torch.device
    at_once: int
    temperature: float


@dataclass(frozen=True)
class Filled:
    """How many samples were computed here, and how good the encoding is (None where nothing was computed)."""

    samples: int
    fidelity: Fidelity | None


Tell = Callable[[int, int], None]


def fill(
    filling: Filling, store: OutputStore, stop: StopSignal, *, start: float = 0.0, tell: Tell | None = None
) -> Filled:
    """Compute and store what is missing. `start` in [0, 1) is where on the ring; `tell` is given samples done, and all.

    Raises Disrupted when asked to stop, after what was computed is stored, and UserError (StoreNotWritable).
    """
    pending = _Pending(store)
    computed, fidelity = 0, None
    for done, span in _ring(len(filling.split), filling.at_once, start):
        missing = store.missing(torch.arange(span.start, span.stop))
        if len(missing):
            said, piece = _compute(filling, missing)
            fidelity = fidelity or _fidelity(filling, said, piece)
            pending.take(piece)
            computed += len(missing)
        if tell is not None:
            tell(done, len(filling.split))
        if stop.requested and done < len(filling.split):
            pending.write()
            raise Disrupted(
                f"stopped by a signal with {store.stored} samples' teacher outputs stored; the next start computes the rest"
            )
    pending.write()
    return Filled(computed, fidelity)


def _ring(samples: int, at_once: int, start: float) -> Iterator[tuple[int, slice]]:
    """Batches of the split with how many samples are done after each; the batches are the same wherever it starts."""
    first = int(start * -(-samples // at_once)) * at_once
    done = 0
    for begin in chain(range(first, samples, at_once), range(0, first, at_once)):
        span = slice(begin, min(begin + at_once, samples))
        done += span.stop - span.start
        yield done, span


class _Pending:
    """Pieces that are not in the store yet."""

    def __init__(self, store: OutputStore) -> None:
        self._store = store
        self._joined = Joined()
        self._since = time.monotonic()

    def take(self, piece: Piece) -> None:
        """Keep a piece, and write where there is enough."""
        self._joined.add(piece)
        if self._joined.nbytes >= SHARD_BYTES or time.monotonic() - self._since >= SHARD_SECONDS:
            self.write()

    def write(self) -> None:
        """All of them as one shard; then see what others have done."""
        if len(self._joined):
            try:
                self._store.add(self._joined.whole())
            except OSError as error:
                raise not_writable(error) from error
            self._joined = Joined()
        self._store.look_again()
        self._since = time.monotonic()


def not_writable(error: OSError) -> UserError:
    """The store's volume does not take what is written; the run may be tried again."""
    return UserError(
        "StoreNotWritable",
        f"teacher outputs cannot be written ({error.strerror or error}): free or add space on the volume of "
        "teacherOutputs.store.uri (output.uri without one), or set teacherOutputs.mode to Online; what is stored is kept",
    )


def _compute(filling: Filling, places: Tensor) -> tuple[Said, Piece]:
    batch = filling.split.batch(places).to(filling.device)
    said = filling.teacher(batch)
    digests = id_digests(batch.ids)
    with torch.inference_mode():
        rows = filling.encoding.encode(
            Rows(said.logits, _row_seeds(seeds(digests), said.counts), said.hidden)
        )
    return said, Piece(digests, said.counts, _on_cpu(rows), _on_cpu(said.layers))


def _row_seeds(of_samples: Tensor, counts: Tensor) -> Tensor:
    """A seed for each row: the sample's, and where in the sample the row stands."""
    before = (counts.cumsum(0) - counts).repeat_interleave(counts)
    return of_samples.repeat_interleave(counts) + torch.arange(len(before)) - before


def _on_cpu(tensors: Tensors) -> dict[str, Tensor]:
    return {name: tensor.cpu() for name, tensor in tensors.items()}


def _fidelity(filling: Filling, said: Said, piece: Piece) -> Fidelity:
    rows = torch.linspace(0, len(said.logits) - 1, min(MEASURED_ROWS, len(said.logits))).long()
    stored = {name: tensor[rows].to(filling.device) for name, tensor in piece.rows.items()}
    with torch.inference_mode():
        error = kl_error(
            said.logits[rows.to(filling.device)], filling.encoding.decode(stored), filling.temperature
        )
    row_bytes = sum(tensor.nbytes for tensor in piece.rows.values())
    return Fidelity(error, len(rows), row_bytes / len(said.logits), piece.nbytes / len(piece.digests))
