"""Words of a sentence, each answered with a label. Sentences come as lists of words, as the student was trained on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from distill_server.answers import Answer, output_types, word_answer
from distill_server.endpoints.endpoint import instances_of
from distill_server.endpoints.texts import bytes_cells, text_in
from distill_server.errors import RequestError
from distill_trainer.batch import Samples
from distill_trainer.student import Student
from distill_trainer.words import WordEncoder, word_encoder


class Words:
    """A list of strings an instance; v2: BYTES [B, W], where shorter sentences end with empty strings."""

    input_name = "tokens"

    def __init__(self, encoder: WordEncoder, classes: Sequence[str]) -> None:
        self._encoder = encoder
        self._classes = tuple(classes)

    @classmethod
    def of(cls, student: Student) -> Words:
        """Of a student's tokenizer."""
        return cls(word_encoder(student.text_encoder), student.classes)

    def of_v1(self, body: Any) -> Samples:
        """See Endpoint."""
        instances = instances_of(body, one="words", described="lists of words as strings")
        return self._samples([(words, f"instances[{row}]") for row, words in enumerate(instances)])

    def of_v2(self, datatype: str, array: Any, name: str) -> Samples:
        """See Endpoint."""
        rows = bytes_cells(datatype, array, name, "[B, W]")
        return self._samples(
            [(_without_filling(words), f"inputs {name!r} [{row}]") for row, words in enumerate(rows)]
        )

    def answer(self, probabilities: Tensor, samples: Samples) -> Answer:
        """See Endpoint."""
        mask = samples.mask if samples.mask is not None else probabilities[..., 0] >= 0
        rows = [probabilities[row, mask[row]] for row in range(len(probabilities))]
        return word_answer(rows, self._classes)

    def input_types(self) -> list[dict[str, Any]]:
        """See Endpoint."""
        return [{"name": self.input_name, "datatype": "BYTES", "shape": [-1, -1]}]

    def output_types(self) -> list[dict[str, Any]]:
        """See Endpoint."""
        return output_types(len(self._classes), rows=2)

    def described(self) -> str:
        """See Endpoint."""
        return f"words, at most {self._encoder.text.max_tokens} tokens a sentence"

    def _samples(self, given: Sequence[tuple[Any, str]]) -> Samples:
        sentences = [_sentence(words, where) for words, where in given]
        placed = self._encoder.encode(sentences)
        for place, (words, where) in enumerate(zip(sentences, (where for _, where in given), strict=True)):
            self._refuse_left_out(words, set(placed.words[place].tolist()), where)
        return Samples(placed.inputs, mask=placed.mask)

    def _refuse_left_out(self, words: list[str], found: set[int], where: str) -> None:
        """Each word gets a label, or the request an error: one that is left out would shift those after it."""
        left_out = next((index for index in range(len(words)) if index not in found), None)
        if left_out is None:
            return
        if left_out > max(found):
            raise RequestError(
                f"{where} is too long: word {left_out} and those after it are beyond the {self._encoder.text.max_tokens} "
                "tokens that the model reads; send it in parts"
            )
        raise RequestError(f"{where}[{left_out}] is {words[left_out]!r}, which has no token: leave it out")


def _sentence(words: Any, where: str) -> list[str]:
    if not isinstance(words, list) or not words:
        what = "empty" if words == [] else f"{type(words).__name__}"
        raise RequestError(f'{where} is {what}: send its words as a list, ["a", "cat"]')
    return [text_in(word, f"{where}[{index}]") for index, word in enumerate(words)]


def _without_filling(words: list[Any]) -> list[Any]:
    length = max((index + 1 for index, word in enumerate(words) if word not in ("", b"")), default=0)
    return words[:length]
