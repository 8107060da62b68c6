"""The trainer's HTTP thread: /status for the operator, /metrics for Prometheus, /healthz for probes.

It only looks: where its port is taken the training goes on, and the log says so.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from distill_api.contract import HTTP_PORT
from distill_trainer.exposition import CONTENT_TYPE, exposition
from distill_trainer.progress import ProgressBoard

log = logging.getLogger(__name__)


@contextmanager
def serving(board: ProgressBoard, *, metric: str) -> Iterator[int | None]:
    """Serve while the block runs; yields the port, None where it could not be had."""
    server = _listen(board, metric)
    if server is None:
        yield None
        return
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def _listen(board: ProgressBoard, metric: str) -> ThreadingHTTPServer | None:
    host = os.environ.get("DISTILL_HTTP_HOST", "0.0.0.0")  # noqa: S104  (the pod's own address; the operator reads it)
    text = os.environ.get("DISTILL_HTTP_PORT", str(HTTP_PORT))
    try:
        return ThreadingHTTPServer((host, int(text)), _handler(board, metric))
    except (OSError, ValueError, OverflowError) as error:
        log.warning(
            "no /status and /metrics: port %s of %s cannot be used (%s); the training goes on",
            text,
            host,
            error,
        )
        return None


def _handler(board: ProgressBoard, metric: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers from the board."""

        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_GET(self) -> None:
            """The three pages."""
            path = self.path.partition("?")[0]
            if path == "/status":
                self._answer(200, "application/json", json.dumps(board.progress.wire()).encode())
            elif path == "/metrics":
                self._answer(200, CONTENT_TYPE, exposition(board, metric))
            elif path == "/healthz":
                self._answer(200, "text/plain", b"ok\n")
            else:
                self._answer(404, "text/plain", b"there are /status, /metrics and /healthz\n")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class's name)
            """A request a second is no news."""

        def _answer(self, code: int, kind: str, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler
