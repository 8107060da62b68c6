"""Requests to the served student through the gateway, counted by the version that answered."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Answer:
    """What came back for one request."""

    status: int
    body: dict[str, Any]
    version: str


class Client:
    """Predictions over one kept connection. `gateway` is where it listens, `host` the service's host name."""

    def __init__(self, gateway: str, host: str, model: str) -> None:
        self.address = urlsplit(gateway).netloc
        self.host = host
        self.path = f"/v1/models/{model}:predict"
        self._connection: http.client.HTTPConnection | None = None

    def predict(self, instances: list[Any]) -> Answer:
        """POST /v1/models/<model>:predict. Connection faults come back as status 0."""
        payload = json.dumps({"instances": instances})
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(self.address, timeout=10)
            headers = {"Host": self.host, "Content-Type": "application/json"}
            self._connection.request("POST", self.path, payload, headers)
            response = self._connection.getresponse()
            return read_answer(response.status, response.read())
        except (OSError, http.client.HTTPException):
            self.close()
            return Answer(0, {}, "")

    def close(self) -> None:
        """Let the connection go; the next prediction makes a new one."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def read_answer(status: int, content: bytes) -> Answer:
    """Body and version of an answer; a body that is no JSON counts as empty."""
    try:
        body = json.loads(content)
    except ValueError:
        body = {}
    return Answer(status, body, str(body.get("modelVersion", "")) if isinstance(body, dict) else "")


@dataclass
class Traffic:
    """A steady stream of predictions in the background, counted by version. Bounded by `stop` and by `limit`."""

    client: Client
    instances: list[Any]
    per_second: float = 25.0
    limit: int = 20_000
    versions: Counter[str] = field(default_factory=Counter)
    errors: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.client.close()

    def join(self) -> None:
        """Wait until `limit` requests were sent."""
        self._thread.join()

    def _run(self) -> None:
        for number in range(self.limit):
            if self._stop.is_set():
                return
            began = time.monotonic()
            answer = self.client.predict([self.instances[number % len(self.instances)]])
            if answer.status == http.client.OK:
                self.versions[answer.version] += 1
            else:
                self.errors[answer.status] += 1
            self._stop.wait(max(0.0, 1 / self.per_second - (time.monotonic() - began)))
