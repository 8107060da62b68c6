"""The server as a pod runs it, asked over HTTP."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Server:
    process: subprocess.Popen[bytes]
    folder: Path
    port: int

    def ask(
        self, path: str, body: Any = None, content_type: str = "application/json"
    ) -> tuple[int, Any, Any]:
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", content, {"Content-Type": content_type}
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=10) as answer:
                return answer.status, _read(answer), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, _read(error), error.headers


def _read(answer: Any) -> Any:
    text = answer.read().decode()
    return json.loads(text) if text.startswith("{") else text


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(folder: Path, port: int, log: Path, **env: str) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "distill_server",
        "--model_name=student",
        f"--model_dir={folder}",
        f"--http_port={port}",
    ]
    with log.open("wb") as file:
        return subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env={**os.environ, **env})


@contextmanager
def running(folder: Path, log: Path) -> Iterator[Server]:
    """A server that is ready, ended as a pod's is."""
    port = free_port()
    server = Server(start(folder, port, log), folder, port)
    try:
        for _ in range(1500):  # loading torch and the SDK is all processor: a busy machine takes long
            try:
                if server.ask("/v2/health/ready")[0] == 200:
                    break
            except OSError:
                assert server.process.poll() is None, log.read_text()
                time.sleep(0.2)
        else:
            pytest.fail(log.read_text())
        yield server
    finally:
        server.process.send_signal(signal.SIGTERM)
        code = server.process.wait(30)
    # SIGTERM is the ordinary end of a pod: no traceback, no fault.
    assert code == 0
    assert "Traceback" not in log.read_text()
