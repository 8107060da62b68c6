"""What goes into the teacher's last layer, from which the same layer makes the logits again: exact, and often smaller."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from distill_trainer.losses.fused import Head as FusedHead
from distill_trainer.losses.term import Unprojected
from distill_trainer.teacher_outputs.encodings.encoding import Rows, Tensors


@dataclass(frozen=True)
class Head:
    """The teacher's last layer: weight [C, H] and bias [C]."""

    weight: Tensor
    bias: Tensor | None = None

    def tensors(self) -> dict[str, Tensor]:
        """By name, as they are stored beside the rows."""
        return {"weight": self.weight} | ({} if self.bias is None else {"bias": self.bias})


class HiddenState:
    """The last hidden state of a row."""

    def __init__(self, head: Head) -> None:
        self._head = head

    def encode(self, rows: Rows) -> dict[str, Tensor]:
        """See Encoding. Raises ValueError where the rows come without their hidden states."""
        if rows.hidden is None:
            raise ValueError("the rows have no hidden states")
        return {"hidden": rows.hidden}

    def decode(self, stored: Tensors) -> Tensor:
        """Logits [R, C]."""
        return F.linear(stored["hidden"], self._head.weight, self._head.bias)

    def unprojected(self, stored: Tensors) -> Unprojected:
        """The hidden states as they are, [R, H], with the layer that makes logits of them."""
        return Unprojected(stored["hidden"], FusedHead(self._head.weight, self._head.bias))
