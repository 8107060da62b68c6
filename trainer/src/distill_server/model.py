"""The student as a model of the kserve SDK: which protocol asks what, and what it is answered."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import torch
from kserve import InferInput, InferOutput, InferRequest, InferResponse, Model
from torch import Tensor

from distill_server.answers import predictions
from distill_server.errors import RequestError
from distill_server.inputs import images_of_v1, images_of_v2
from distill_server.metrics import StudentMetrics
from distill_trainer.student import Student

VERSION_HEADER = "x-model-version"


class ServedStudent(Model):  # type: ignore[misc]  # the SDK has no types
    """Answers predictions of one student; `version` is the digest of its content."""

    def __init__(self, name: str, student: Student, *, version: str, metrics: StudentMetrics) -> None:
        super().__init__(name, return_response_headers=True)
        self.student = student
        self.shape = student.shape or (0, 0, 0)
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
        answer = predictions(
            await self._probabilities(images_of_v1(payload, self.shape)), self.student.classes
        )
        return {"predictions": answer, "modelVersion": self.version}

    def get_input_types(self) -> list[dict[str, Any]]:
        """Of the v2 metadata."""
        return [{"name": "images", "datatype": "FP32", "shape": [-1, *self.shape]}]

    def get_output_types(self) -> list[dict[str, Any]]:
        """Of the v2 metadata."""
        classes = len(self.student.classes)
        return [
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
            {"name": "index", "datatype": "INT64", "shape": [-1]},
            {"name": "confidence", "datatype": "FP32", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, classes]},
        ]

    async def _infer(self, request: InferRequest) -> InferResponse:
        given = _only_input(request)
        try:
            array = given.as_numpy()
        except ValueError as error:
            raise RequestError(
                f"inputs {given.name!r}: its data do not fill its shape {list(given.shape)}"
            ) from error
        images = images_of_v2(given.datatype, array, self.shape, name=given.name)
        probabilities = await self._probabilities(images)
        answer_id = request.id or str(uuid.uuid4())
        return InferResponse(answer_id, self.name, self._outputs(probabilities), model_version=self.version)

    def _outputs(self, probabilities: Tensor) -> list[InferOutput]:
        rows = predictions(probabilities, self.student.classes)
        columns: list[list[Any]] = [
            [row["label"] for row in rows],
            [row["index"] for row in rows],
            [row["confidence"] for row in rows],
            probabilities.flatten().tolist(),
        ]
        return [
            InferOutput(kind["name"], [len(rows), *kind["shape"][1:]], kind["datatype"], column)
            for kind, column in zip(self.get_output_types(), columns, strict=True)
        ]

    async def _probabilities(self, images: Tensor) -> Tensor:
        # In a thread, so that a large batch keeps no probe waiting.
        probabilities = await asyncio.to_thread(self.student.predict, images)
        self.metrics.predicted(probabilities.max(dim=1).values.tolist())
        return probabilities


def one_thread() -> None:
    """A small student answers fastest with one thread, and a pod has a share of the node's cores only."""
    torch.set_num_threads(1)


def _only_input(request: InferRequest) -> InferInput:
    if len(request.inputs) != 1:
        names = ", ".join(repr(given.name) for given in request.inputs) or "none"
        raise RequestError(
            f"the model takes one input, 'images', and the request has {len(request.inputs)} ({names})"
        )
    return request.inputs[0]
