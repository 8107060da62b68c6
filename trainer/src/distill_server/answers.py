"""From probabilities to what a client reads. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor


def predictions(probabilities: Tensor, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Label, index, confidence and all probabilities of each image; `probabilities` is float32 [B, classes]."""
    best = probabilities.max(dim=1)
    rows = zip(best.indices.tolist(), best.values.tolist(), probabilities.tolist(), strict=True)
    return [
        {"label": classes[index], "index": index, "confidence": confidence, "probabilities": row}
        for index, confidence, row in rows
    ]
