"""The student as a model of the kserve SDK: which protocol asks what, and what it is answered."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import torch
from kserve import InferInput, InferOutput, InferRequest, InferResponse, Model

from distill_server.answers import Answer
from distill_server.endpoints import endpoint_of
from distill_server.errors import RequestError
from distill_server.metrics import StudentMetrics
from distill_trainer.batch import Samples
from distill_trainer.student import Student

VERSION_HEADER = "x-model-version"


class ServedStudent(Model):  # type: ignore[misc]  # the SDK has no types
    """Answers predictions of one student; `version` is the digest of its content."""

    def __init__(self, name: str, student: Student, *, version: str, metrics: StudentMetrics) -> None:
        super().__init__(name, return_response_headers=True)
        self.student = student
        self.endpoint = endpoint_of(student)
        self.version = version
        self.metrics = metrics
        self.ready = True

    async def predict(
        self,
        payload: Any,
        _headers: dict[str, str] | None = None,
        response_headers: dict[str, str] | None = None,
    ) -> Any:
        """v1: a dict, v2: an InferRequest; the answer is of the same protocol. Raises RequestError."""
        if response_headers is not None:
            response_headers[VERSION_HEADER] = self.version
        if isinstance(payload, InferRequest):
            return await self._infer(payload)
        answer = await self._answer(self.endpoint.of_v1(payload))
        return {"predictions": answer.predictions, "modelVersion": self.version}

    def get_input_types(self) -> list[dict[str, Any]]:
        """Of the v2 metadata."""
        return self.endpoint.input_types()

    def get_output_types(self) -> list[dict[str, Any]]:
        """Of the v2 metadata."""
        return self.endpoint.output_types()

    async def _infer(self, request: InferRequest) -> InferResponse:
        given = _only_input(request, self.endpoint.input_name)
        try:
            array = given.as_numpy()
        except ValueError as error:
            raise RequestError(
                f"inputs {given.name!r}: its data do not fill its shape {list(given.shape)}"
            ) from error
        answer = await self._answer(self.endpoint.of_v2(given.datatype, array, given.name))
        outputs = [
            InferOutput(column.name, list(column.shape), column.datatype, column.data)
            for column in answer.columns
        ]
        answer_id = request.id or str(uuid.uuid4())
        return InferResponse(answer_id, self.name, outputs, model_version=self.version)

    async def _answer(self, samples: Samples) -> Answer:
        # In a thread, so that a large batch keeps no probe waiting.
        probabilities = await asyncio.to_thread(self.student.predict, samples.inputs)
        answer = self.endpoint.answer(probabilities, samples)
        self.metrics.predicted(answer.confidences)
        return answer


def one_thread() -> None:
    """A small student answers fastest with one thread, and a pod has a share of the node's cores only."""
    torch.set_num_threads(1)


def _only_input(request: InferRequest, name: str) -> InferInput:
    if len(request.inputs) != 1:
        names = ", ".join(repr(given.name) for given in request.inputs) or "none"
        raise RequestError(
            f"the model takes one input, {name!r}, and the request has {len(request.inputs)} ({names})"
        )
    return request.inputs[0]
