"""Logits as they are, in the type that the teacher computes in: exact."""

from __future__ import annotations

from torch import Tensor

from distill_trainer.teacher_outputs.encodings.encoding import Rows, Tensors


class Dense:
    """All logits of a row."""

    def encode(self, rows: Rows) -> dict[str, Tensor]:
        """See Encoding."""
        return {"logits": rows.logits}

    def decode(self, stored: Tensors) -> Tensor:
        """Logits [R, C]."""
        return stored["logits"]
