"""Tokens of a whole split, made once and mapped from files: epochs read slices, and memory stays flat. Called by `content`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from distill_trainer import mapped
from distill_trainer.errors import ContractBroken
from distill_trainer.language.encoded import Encoded, Encoder, Refused

_AT_ONCE = 256


@dataclass(frozen=True)
class Spool:
    """`ids` int32 and `trained` bool [T], document after document; document d is `starts[d] : starts[d + 1]`.

    `counted` tokens are targets; `silent` documents have none before they are cut.
    """

    ids: NDArray[np.int32]
    trained: NDArray[np.bool_]
    starts: NDArray[np.int64]
    digest: str
    counted: int
    silent: int

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each document."""
        return np.diff(self.starts)


def spool(
    cell: Callable[[int], Any], rows: int, encoder: Encoder, field: str, *, cut: int | None = None
) -> Spool:
    """Encode every row; documents are used up to `cut` tokens. `field` names the column in messages.

    Raises ContractBroken (DocumentRefused, NothingTrained).
    """
    digest, counted, silent = hashlib.sha256(encoder.digest().encode()), 0, 0
    ids, trained, starts = mapped.Spool(), mapped.Spool(), mapped.Spool()
    starts.add(torch.zeros(1, dtype=torch.int64))
    for span in mapped.spans(rows, _AT_ONCE):
        for document in _encoded(cell, range(span.start, span.stop), encoder, field):
            tokens = np.asarray(document.ids, dtype=np.int32)
            known = np.asarray(document.trained, dtype=np.bool_)
            ids.add(torch.from_numpy(tokens))
            trained.add(torch.from_numpy(known))
            starts.add(torch.tensor([len(ids)]))
            digest.update(len(tokens).to_bytes(8, "little") + tokens.tobytes() + known.tobytes())
            used = sum(document.trained[:cut])
            counted, silent = counted + used, silent + (not used)
    made = Spool(
        ids.mapped().numpy(),
        trained.mapped().numpy(),
        starts.mapped().numpy(),
        digest.hexdigest(),
        counted,
        silent,
    )
    if not counted:
        raise ContractBroken(
            "NothingTrained",
            f"{field} has no token that would be trained: conversations need answers of the role assistant that begin "
            "within dataset.maxTokens",
        )
    return made


def _encoded(cell: Callable[[int], Any], rows: range, encoder: Encoder, field: str) -> Sequence[Encoded]:
    cells = [cell(row) for row in rows]
    try:
        return encoder.encode(cells)
    except Refused:
        pass
    for row, value in zip(rows, cells, strict=True):  # once more, one by one: which row is it?
        try:
            encoder.encode([value])
        except Refused as fault:
            raise ContractBroken("DocumentRefused", f"{field}, row {row}, {fault}") from None
    raise RuntimeError("a batch of documents was refused, and none of them alone")
