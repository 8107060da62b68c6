"""The student's metrics, beside the SDK's on /metrics. The SDK counts no errors, which a canary is judged by."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram

CODES = ("200", "400", "500", "503")
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
CONFIDENCES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1)
PREDICTION = re.compile(r"^/(?:v1/models/(?P<v1>[^/:]+):predict|v2/models/(?P<v2>[^/]+)/infer)$")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class StudentMetrics:
    """Metrics of one model. Each code starts at 0: a counter that appears at 1 hides its first request from increase()."""

    def __init__(self, model: str, registry: CollectorRegistry = REGISTRY) -> None:
        self.model = model
        self._requests = Counter(
            "distill_student_requests",
            "Predictions answered, by HTTP status.",
            ["model_name", "code"],
            registry=registry,
        )
        self._seconds = Histogram(
            "distill_student_request_seconds",
            "Time to answer.",
            ["model_name"],
            buckets=SECONDS,
            registry=registry,
        )
        self._confidence = Histogram(
            "distill_student_prediction_confidence",
            "Probability of the predicted class.",
            ["model_name"],
            buckets=CONFIDENCES,
            registry=registry,
        )
        for code in CODES:
            self._requests.labels(model, code)
        self._seconds.labels(model)
        self._confidence.labels(model)

    def answered(self, code: int, seconds: float) -> None:
        """Count one request."""
        self._requests.labels(self.model, str(code)).inc()
        self._seconds.labels(self.model).observe(seconds)

    def predicted(self, confidences: list[float]) -> None:
        """Record the confidence of each prediction."""
        for confidence in confidences:
            self._confidence.labels(self.model).observe(confidence)


class CountRequests:
    """ASGI middleware that counts predictions of the served model; other paths and names are not its matter."""

    def __init__(self, app: App, metrics: StudentMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and look at the status of its answer."""
        match = PREDICTION.match(scope.get("path", "")) if scope["type"] == "http" else None
        if match is None or self._metrics.model not in match.groups():
            await self._app(scope, receive, send)
            return
        start, code = time.perf_counter(), 500

        async def watched(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            self._metrics.answered(code, time.perf_counter() - start)
