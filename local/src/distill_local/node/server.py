"""The kubelet's HTTPS endpoint: what `kubectl logs` reaches through the API server.

Only the holder of a certificate signed by --client-ca gets an answer.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from aiohttp import web

from distill_local.node import logs
from distill_local.node.model import Waiting, now
from distill_local.node.settings import KUBELET_PORT, Settings
from distill_local.node.sync import Pods

_UNSUPPORTED = (
    "{} is not supported by the process node of a local cluster: its pods are processes of your machine\n"
)
PODS = web.AppKey("pods", Pods)


def _sentence(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text)


def _log_file(pods: Pods, request: web.Request) -> tuple[Path, int] | web.Response:
    """Return the log that a request asks for and the number of its run, or why there is none."""
    namespace, name, container = (request.match_info[key] for key in ("namespace", "pod", "container"))
    worker = pods.find(namespace, name)
    if worker is None:
        return _sentence(404, f"pod {namespace}/{name} is not on this node")
    view = worker.view(container)
    if view is None:
        return _sentence(404, f'container "{container}" is not in pod {namespace}/{name}')
    previous = request.query.get("previous") in {"true", "1"}
    backing_off = isinstance(view.state, Waiting) and view.state.reason == "CrashLoopBackOff"
    current = view.restarts - 1 if previous and not backing_off else view.restarts
    path = worker.node.log_folder(worker.uid) / container / f"{current}.log"
    if path.exists():
        return path, current
    if previous:
        return _sentence(400, f'previous terminated container "{container}" in pod "{name}" not found')
    reason = view.state.reason if isinstance(view.state, Waiting) else "ContainerCreating"
    return _sentence(400, f'container "{container}" in pod "{name}" is waiting to start: {reason}')


async def _container_logs(request: web.Request) -> web.StreamResponse:
    pods = request.app[PODS]
    found = _log_file(pods, request)
    if isinstance(found, web.Response):
        return found
    path, run = found
    try:
        options = logs.parse_options(dict(request.query), now())
    except ValueError as error:
        return _sentence(400, str(error))
    namespace, name, container = (request.match_info[key] for key in ("namespace", "pod", "container"))

    def live() -> bool:
        worker = pods.find(namespace, name)
        runner = worker.runners.get(container) if worker else None
        return runner is not None and runner.process is not None and runner.view.restarts == run

    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    await response.prepare(request)
    try:
        async for text in logs.read(path, options, live):
            await response.write(text)
    except ConnectionError:
        return response
    await response.write_eof()
    return response


async def _pods(request: web.Request) -> web.Response:
    items = [worker.pod for worker in request.app[PODS].workers.values()]
    return web.json_response({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})


async def _healthz(_: web.Request) -> web.Response:
    return web.Response(text="ok")


async def _unsupported(request: web.Request) -> web.Response:
    return _sentence(
        501,
        _UNSUPPORTED.format(f"kubectl {request.path.split('/')[1].replace('portForward', 'port-forward')}"),
    )


async def serve(settings: Settings, pods: Pods) -> web.AppRunner:
    """Start the server and return what ends it."""
    app = web.Application()
    app[PODS] = pods
    app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", _container_logs)
    app.router.add_get("/pods", _pods)
    app.router.add_get("/healthz", _healthz)
    for verb in ("exec", "attach", "portForward", "run"):
        app.router.add_route("*", f"/{verb}/{{rest:.*}}", _unsupported)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(settings.client_ca))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(settings.serving_cert, settings.serving_key)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, settings.address, KUBELET_PORT, ssl_context=context).start()
    return runner
