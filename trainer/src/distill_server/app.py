"""Puts student, metrics and SDK together and serves until a signal. Called by `__main__` alone."""

from __future__ import annotations

import asyncio
import logging
import warnings
from functools import partial
from pathlib import Path
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from kserve import ModelServer
from kserve import model_server as sdk
from kserve.errors import InvalidInput, ModelNotFound, ModelNotReady
from kserve.logging import trace_logger
from kserve.protocol.dataplane import DataPlane

from distill_server.errors import RequestError
from distill_server.metrics import CountRequests, StudentMetrics
from distill_server.model import ServedStudent, one_thread
from distill_trainer.output import content_digest
from distill_trainer.student import load_student

DRAIN_SECONDS = 20
KEEP_ALIVE_SECONDS = 3600
"""Longer than any gateway keeps an idle connection (Traefik 90 s, Envoy an hour): a request on a connection that the
server closes in that moment is answered 502, and one with a body cannot be sent again."""
log = logging.getLogger(__name__)


class VersionedDataPlane(DataPlane):  # type: ignore[misc]  # the SDK has no types
    """The SDK's, which says the model's version in the v2 metadata too."""

    async def model_metadata(self, model_name: str) -> dict[str, Any]:
        """The SDK's metadata, with `versions`."""
        metadata: dict[str, Any] = await super().model_metadata(model_name)
        model = self.get_model_from_registry(model_name)
        return metadata | {"platform": "pytorch", "versions": [model.version]}


def open_model(name: str, folder: Path) -> ServedStudent:
    """The student of a version's folder, with its metrics at 0. Raises UserError."""
    student = load_student(folder)
    version = content_digest(folder)
    return ServedStudent(name, student, version=version, metrics=StudentMetrics(name))


def serve(name: str, folder: Path, *, port: int) -> None:
    """Serve until SIGTERM; requests that run then are answered. Raises UserError where the model cannot be loaded."""
    one_thread()
    model = open_model(name, folder)
    _prepare_sdk(model.metrics, model.endpoint.input_name)
    asyncio.set_event_loop(asyncio.new_event_loop())  # the SDK asks for one before it runs its own
    server = ModelServer(
        http_port=port,
        workers=1,
        enable_grpc=False,
        enable_latency_logging=False,
        grace_period=DRAIN_SECONDS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    server.dataplane = VersionedDataPlane(model_registry=server.registered_models)
    log.info(
        "serving %s version %s: %s%s",
        name,
        model.version,
        f"{len(model.student.classes)} classes, " if model.student.classes else "",
        model.endpoint.described(),
    )
    server.start([model])


def _prepare_sdk(metrics: StudentMetrics, input_name: str) -> None:
    sdk.app.add_exception_handler(RequestError, _refused)
    sdk.app.add_exception_handler(RequestValidationError, partial(_malformed, input_name))
    sdk.app.add_middleware(CountRequests, metrics=metrics)
    sdk.logger.addFilter(_client_faults_in_one_line)
    trace_logger.setLevel(logging.WARNING)  # two lines a request that metrics say better
    warnings.filterwarnings("ignore", message="ORJSONResponse is deprecated")  # the SDK's affair


def _client_faults_in_one_line(record: logging.LogRecord) -> bool:
    fault = record.exc_info[1] if record.exc_info else None
    if isinstance(fault, (InvalidInput, ModelNotFound, ModelNotReady)):
        record.msg, record.exc_info = str(fault), None
    return True


async def _malformed(input_name: str, _request: Any, error: Exception) -> JSONResponse:
    faults = error.errors() if isinstance(error, RequestValidationError) else []
    where = next(
        (".".join(map(str, fault["loc"][2:])) for fault in faults if len(fault["loc"]) > 2), "the body"
    )
    why = str(faults[0]["msg"]) if faults else str(error)
    wanted = f'{{"inputs": [{{"name": "{input_name}", "datatype", "shape", "data"}}]}}'
    return JSONResponse(status_code=400, content={"error": f"{where}: {why}; send {wanted} as JSON"})


async def _refused(_request: Any, error: Exception) -> JSONResponse:
    return JSONResponse(status_code=400, content={"error": str(error)})
