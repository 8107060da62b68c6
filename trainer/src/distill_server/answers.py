"""From probabilities to what a client reads, one function for each kind of answer. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Column:
    """One output of the v2 protocol; `data` is flat."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: list[Any]


@dataclass(frozen=True)
class Answer:
    """The same answer for both protocols, and the confidence of each prediction for the metrics."""

    predictions: list[dict[str, Any]]
    columns: list[Column]
    confidences: list[float]


def class_answer(probabilities: Tensor, classes: Sequence[str]) -> Answer:
    """A class for each sample; `probabilities` is float32 [B, classes]."""
    rows = predictions(probabilities, classes)
    size = (len(rows),)
    confidences = [row["confidence"] for row in rows]
    columns = [
        Column("label", "BYTES", size, [row["label"] for row in rows]),
        Column("index", "INT64", size, [row["index"] for row in rows]),
        Column("confidence", "FP32", size, confidences),
        Column("probabilities", "FP32", tuple(probabilities.shape), probabilities.flatten().tolist()),
    ]
    return Answer(rows, columns, confidences)


def output_types(classes: int, *, rows: int = 1) -> list[dict[str, Any]]:
    """The outputs as the v2 metadata has them; `rows` is how many dimensions the batch's rows have."""
    free = [-1] * rows
    return [
        {"name": "label", "datatype": "BYTES", "shape": free},
        {"name": "index", "datatype": "INT64", "shape": free},
        {"name": "confidence", "datatype": "FP32", "shape": free},
        {"name": "probabilities", "datatype": "FP32", "shape": [*free, classes]},
    ]


def predictions(probabilities: Tensor, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Label, index, confidence and all probabilities of each sample; `probabilities` is float32 [B, classes]."""
    best = probabilities.max(dim=1)
    rows = zip(best.indices.tolist(), best.values.tolist(), probabilities.tolist(), strict=True)
    return [
        {"label": classes[index], "index": index, "confidence": confidence, "probabilities": row}
        for index, confidence, row in rows
    ]
