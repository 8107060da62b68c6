"""What is counted, and that counters are there before the first request."""

import asyncio

from prometheus_client import CollectorRegistry

from distill_server.metrics import CODES, CountRequests, StudentMetrics


def counted(registry: CollectorRegistry, code: int) -> float | None:
    return registry.get_sample_value("distill_student_requests_total", {"model_name": "m", "code": str(code)})


def ask(registry: CollectorRegistry, path: str, *, code: int = 200, fails: bool = False) -> None:
    async def app(scope, receive, send) -> None:
        if fails:
            raise RuntimeError("a fault")
        await send({"type": "http.response.start", "status": code, "headers": []})

    async def nothing(*_: object) -> None:
        return None

    counting = CountRequests(app, StudentMetrics("m", registry))
    try:
        asyncio.run(counting({"type": "http", "path": path}, nothing, nothing))
    except RuntimeError:
        assert fails


def test_every_code_starts_at_zero() -> None:
    registry = CollectorRegistry()
    StudentMetrics("m", registry)
    assert {counted(registry, int(code)) for code in CODES} == {0.0}


def test_predictions_of_both_protocols_are_counted_by_status() -> None:
    for path, code in (("/v1/models/m:predict", 200), ("/v2/models/m/infer", 400)):
        registry = CollectorRegistry()
        ask(registry, path, code=code)
        assert counted(registry, code) == 1
        assert registry.get_sample_value("distill_student_request_seconds_count", {"model_name": "m"}) == 1


def test_an_error_inside_counts_as_500() -> None:
    registry = CollectorRegistry()
    ask(registry, "/v1/models/m:predict", fails=True)
    assert counted(registry, 500) == 1


def test_probes_and_other_models_are_not_counted() -> None:
    for path in ("/v2/health/ready", "/v1/models/other:predict", "/metrics"):
        registry = CollectorRegistry()
        ask(registry, path, code=404)
        assert counted(registry, 404) is None
