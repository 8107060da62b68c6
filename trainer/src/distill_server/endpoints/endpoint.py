"""The interface of a kind of input, and what the kinds share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor

from distill_server.answers import Answer, class_answer, output_types
from distill_server.errors import RequestError
from distill_trainer.batch import Samples


class Endpoint(Protocol):
    """Reads requests and answers them; it does not run the student. Reading raises RequestError."""

    input_name: str
    """Of the v2 protocol's one input."""

    def of_v1(self, body: Any) -> Samples:
        """`{"instances": [...]}`, as JSON or as bytes."""

    def of_v2(self, datatype: str, array: Any, name: str) -> Samples:
        """One input tensor (numpy); `name` is how the request calls it."""

    def answer(self, probabilities: Tensor, samples: Samples) -> Answer:
        """What is said of the samples; `probabilities` float32 [B, …, classes]."""

    def input_types(self) -> list[dict[str, Any]]:
        """The input as the v2 metadata has it."""

    def output_types(self) -> list[dict[str, Any]]:
        """The outputs as the v2 metadata has them."""

    def described(self) -> str:
        """What a sample is, for the log."""


class OneClass:
    """Answers with a class for each sample."""

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = tuple(classes)

    def answer(self, probabilities: Tensor, samples: Samples) -> Answer:  # noqa: ARG002
        """See Endpoint."""
        return class_answer(probabilities, self._classes)

    def output_types(self) -> list[dict[str, Any]]:
        """See Endpoint."""
        return output_types(len(self._classes))


def instances_of(body: Any, *, one: str, described: str) -> list[Any]:
    """The instances of a v1 body. The SDK reads JSON only where the content type says so, which `curl -d` does not.

    Raises RequestError.
    """
    if isinstance(body, bytes):
        body = _json(body)
    if not isinstance(body, dict) or not isinstance(body.get("instances"), list):
        raise RequestError(f'the body must be {{"instances": [{one}, …]}} with {described}')
    instances: list[Any] = body["instances"]
    if not instances:
        raise RequestError(f"instances is empty: send one {one} or more")
    return instances


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise RequestError(f"the body is no JSON: {error}") from error
