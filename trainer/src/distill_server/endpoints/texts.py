"""Texts, made tokens by the tokenizer that lies beside the student and cut where its training cut them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from distill_server.endpoints.endpoint import OneClass, instances_of
from distill_server.errors import RequestError
from distill_trainer.batch import Samples
from distill_trainer.student import Student
from distill_trainer.text import TextEncoder


class Texts(OneClass):
    """One string an instance; v2: BYTES [B]."""

    input_name = "text"

    def __init__(self, encoder: TextEncoder, classes: Sequence[str]) -> None:
        super().__init__(classes)
        self._encoder = encoder

    @classmethod
    def of(cls, student: Student) -> Texts:
        """Of a student's tokenizer."""
        return cls(student.text_encoder, student.classes)

    def of_v1(self, body: Any) -> Samples:
        """See Endpoint."""
        instances = instances_of(body, one="text", described="texts as strings")
        return self._encoder.encode(
            [text_in(cell, f"instances[{row}]") for row, cell in enumerate(instances)]
        )

    def of_v2(self, datatype: str, array: Any, name: str) -> Samples:
        """See Endpoint."""
        cells = bytes_cells(datatype, array, name, "[B]")
        return self._encoder.encode(
            [text_in(cell, f"inputs {name!r} [{row}]") for row, cell in enumerate(cells)]
        )

    def input_types(self) -> list[dict[str, Any]]:
        """See Endpoint."""
        return [{"name": self.input_name, "datatype": "BYTES", "shape": [-1]}]

    def described(self) -> str:
        """See Endpoint."""
        return f"texts, cut after {self._encoder.max_tokens} tokens"


def text_in(cell: Any, where: str) -> str:
    """A cell's text, from a string or UTF-8. Raises RequestError."""
    if isinstance(cell, bytes):
        try:
            cell = cell.decode()
        except UnicodeDecodeError as error:
            raise RequestError(f"{where} is no UTF-8: send text") from error
    if not isinstance(cell, str):
        raise RequestError(f"{where} is {type(cell).__name__}: send a text as a string")
    if not cell.strip():
        raise RequestError(f"{where} is empty: send a text with something in it")
    return cell


def bytes_cells(datatype: str, array: Any, name: str, shape: str) -> list[Any]:
    """The cells of a BYTES tensor of `shape` ([B] or [B, W]) as nested lists. Raises RequestError."""
    if datatype != "BYTES":
        raise RequestError(f"inputs {name!r} has datatype {datatype}: send BYTES with text")
    cells = np.asarray(array, dtype=object)
    if cells.ndim != shape.count(",") + 1 or not cells.size:
        raise RequestError(f"inputs {name!r} has shape {list(cells.shape)}: send a batch {shape} of text")
    found: list[Any] = cells.tolist()
    return found
