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


def word_answer(probabilities: Sequence[Tensor], classes: Sequence[str]) -> Answer:
    """A class for each word; `probabilities` has float32 [words, classes] for each sentence.

    The v2 outputs are as wide as the longest sentence; beyond a sentence's words they hold "", −1 and 0.
    """
    sentences = [predictions(rows, classes) for rows in probabilities]
    width = max(len(words) for words in sentences)
    blank = {"label": "", "index": -1, "confidence": 0.0, "probabilities": [0.0] * len(classes)}
    cells = [word for words in sentences for word in [*words, *[blank] * (width - len(words))]]
    size = (len(sentences), width)
    columns = [
        Column("label", "BYTES", size, [cell["label"] for cell in cells]),
        Column("index", "INT64", size, [cell["index"] for cell in cells]),
        Column("confidence", "FP32", size, [cell["confidence"] for cell in cells]),
        Column(
            "probabilities",
            "FP32",
            (*size, len(classes)),
            [value for cell in cells for value in cell["probabilities"]],
        ),
    ]
    rows = [
        {
            "labels": [word["label"] for word in words],
            "indices": [word["index"] for word in words],
            "confidences": [word["confidence"] for word in words],
            "probabilities": [word["probabilities"] for word in words],
        }
        for words in sentences
    ]
    return Answer(rows, columns, [word["confidence"] for words in sentences for word in words])


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
