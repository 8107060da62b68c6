"""Texts, each answered with its embedding: a vector of length 1 whose products with others are cosines."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from distill_server.answers import Answer, Column
from distill_server.endpoints.texts import Texts
from distill_trainer.batch import Samples
from distill_trainer.student import Student
from distill_trainer.text import TextEncoder


class Sentences(Texts):
    """One string an instance; v2: BYTES [B]."""

    def __init__(self, encoder: TextEncoder, width: int) -> None:
        super().__init__(encoder, ())
        self._width = width

    @classmethod
    def of(cls, student: Student) -> Sentences:
        """Of a student's tokenizer; one text is tried, to know the width."""
        encoder = student.text_encoder
        return cls(encoder, student.predict(encoder.encode(["a"]).inputs).shape[-1])

    def answer(self, probabilities: Tensor, samples: Samples) -> Answer:  # noqa: ARG002
        """See Endpoint; `probabilities` are embeddings float32 [B, D], of which nothing is more or less certain."""
        rows = [{"embedding": vector} for vector in probabilities.tolist()]
        data = probabilities.flatten().tolist()
        return Answer(rows, [Column("embedding", "FP32", tuple(probabilities.shape), data)], [])

    def output_types(self) -> list[dict[str, Any]]:
        """See Endpoint."""
        return [{"name": "embedding", "datatype": "FP32", "shape": [-1, self._width]}]

    def described(self) -> str:
        """See Endpoint."""
        return f"{super().described()}, embeddings of {self._width} values"
