"""/healthz, /readyz and /metrics on one port: for the kubelet and for Prometheus."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Probe = Callable[[], str]
"""Returns an empty text when all is well, else what is wrong."""


@asynccontextmanager
async def serve(
    host: str, port: int, *, healthy: Probe, ready: Probe, exposition: Callable[[], bytes]
) -> AsyncIterator[None]:
    """Serve while the context is open."""
    app = web.Application()
    app.router.add_get("/healthz", _probe(healthy))
    app.router.add_get("/readyz", _probe(ready))
    app.router.add_get("/metrics", _metrics(exposition))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    try:
        yield
    finally:
        await runner.cleanup()


def _probe(probe: Probe) -> Handler:
    async def answer(_: web.Request) -> web.Response:
        wrong = probe()
        return web.Response(text=wrong or "ok", status=503 if wrong else 200)

    return answer


def _metrics(exposition: Callable[[], bytes]) -> Handler:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return answer
