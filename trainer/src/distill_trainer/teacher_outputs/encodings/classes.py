"""Classes as few bytes: two for up to 65 536 of them, three for more."""

from __future__ import annotations

import torch
from torch import Tensor

from distill_trainer.teacher_outputs.encodings.encoding import Tensors

TWO_BYTES = 2**16


def class_bytes(classes: int) -> int:
    """Bytes of one class among `classes`."""
    return 2 if classes <= TWO_BYTES else 3


def packed(indices: Tensor, classes: int) -> dict[str, Tensor]:
    """int64 [R, K] → tensors of 16 bits, and of the 8 bits above where there are more classes."""
    low = (indices % TWO_BYTES).to(torch.int32).sub(TWO_BYTES // 2).to(torch.int16)
    if classes <= TWO_BYTES:
        return {"classes": low}
    return {"classes": low, "classes_high": (indices // TWO_BYTES).to(torch.uint8)}


def unpacked(stored: Tensors) -> Tensor:
    """Undo `packed`."""
    low = stored["classes"].to(torch.int64) + TWO_BYTES // 2
    high = stored.get("classes_high")
    return low if high is None else low + high.to(torch.int64) * TWO_BYTES
