"""The K most likely classes of a row, and the mass of all others in one number for each temperature.

Keeping the tail's mass makes a distribution of K + 1 categories; the K probabilities alone, or K scaled up to 1, are a
teacher that is surer than the real one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from distill_trainer.losses.precision import at_least_float32
from distill_trainer.losses.sparse import TopKTeacher
from distill_trainer.teacher_outputs.encodings.classes import packed, unpacked
from distill_trainer.teacher_outputs.encodings.encoding import Rows, Tensors, in_blocks


class TopK:
    """`temperatures` are those of the objective: a tail's mass at one of them does not follow from another's.

    Log-probabilities are stored in 16 bits, tails in 32.
    """

    def __init__(self, k: int, temperatures: Sequence[float]) -> None:
        self._k = k
        self._temperatures = tuple(temperatures)

    def encode(self, rows: Rows) -> dict[str, Tensor]:
        """See Encoding. K is less than the number of classes."""
        return in_blocks(rows, self._encode)

    def _encode(self, rows: Rows) -> dict[str, Tensor]:
        log_p = at_least_float32(rows.logits).log_softmax(dim=-1)
        top = log_p.topk(self._k, dim=-1)
        others = log_p.scatter(-1, top.indices, -torch.inf)
        tails = [(others / temperature).logsumexp(dim=-1) for temperature in self._temperatures]
        return {
            **packed(top.indices, log_p.shape[-1]),
            "log_p": top.values.to(torch.float16),
            "tails": torch.stack(tails, dim=-1),
        }

    def decode(self, stored: Tensors) -> TopKTeacher:
        """See losses.sparse."""
        tails = {
            temperature: stored["tails"][:, column] for column, temperature in enumerate(self._temperatures)
        }
        return TopKTeacher(unpacked(stored), stored["log_p"].float(), tails)
