"""The first process of a cluster's namespaces: starts everything in order, keeps it running, passes connections in.

`distill_local.cluster.up` runs it as `unshare … python -m distill_local.supervisor --state DIR --fd …`. It says how far it is
in `status.json`. When it ends, the kernel ends every process, mount, address and port of the cluster: there is no other teardown.
"""

import argparse
import asyncio
import contextlib
import datetime as dt
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from distill_local import components, kserve, layout, pki
from distill_local.api import Api, client_session, has_condition
from distill_local.bootstrap import apply_bootstrap
from distill_local.config import ClusterConfig, ClusterStatus
from distill_local.errors import LocalClusterError
from distill_local.files import last_lines
from distill_local.layout import ClusterPaths
from distill_local.network import make_range_local
from distill_local.pki import Pki
from distill_local.processes import Processes
from distill_local.relay import serve_relay

log = logging.getLogger("distill_local.supervisor")

_POLL_SECONDS = 0.05
_STEP_SECONDS = 120.0
# A program that ends this often before it was ever ready will not get ready.
_MOST_EXITS = 3


class Supervisor:
    """Brings one cluster up and writes down how far it is."""

    def __init__(self, config: ClusterConfig, paths: ClusterPaths, api: Api) -> None:
        self._config = config
        self._paths = paths
        self._api = api
        self._status = ClusterStatus()
        self.processes = Processes(paths.logs, self._write_status)

    async def bring_up(self) -> None:
        """Start everything in order; afterwards the status says `ready`, or `failed` with a sentence."""
        try:
            await self._control_plane()
            await asyncio.gather(self._controllers(), self._node(), self._serving())
        except LocalClusterError as error:
            self._fail(str(error))
        except Exception as error:  # whoever waits for us must hear of a mistake of ours too
            log.exception("bringing the cluster up failed")
            self._fail(
                f"Bringing the cluster up failed: {error!r}. The log is {self._paths.logs / 'supervisor.log'}."
            )
            raise
        else:
            self._update(replace(self._status, phase="ready"))

    async def _control_plane(self) -> None:
        async with self._step("etcd"):
            self.processes.start(components.etcd(self._config, self._paths))
            await self._until(
                "etcd", lambda: self._api.answers(f"http://127.0.0.1:{layout.ETCD_PORT}/health")
            )
        async with self._step("API server"):
            self.processes.start(components.api_server(self._config, self._paths))
            await self._until("kube-apiserver", lambda: self._api.answers(f"{layout.API_URL}/readyz"))

    async def _controllers(self) -> None:
        async with self._step("controller manager and scheduler"):
            self.processes.start(components.controller_manager(self._config, self._paths))
            self.processes.start(components.scheduler(self._config, self._paths))
            await apply_bootstrap(self._api)
            account = "/api/v1/namespaces/default/serviceaccounts/default"
            await self._until("kube-controller-manager", lambda: self._exists(account))
            await self._until("kube-scheduler", lambda: self._api.answers("https://127.0.0.1:10259/healthz"))

    async def _node(self) -> None:
        # The node comes after its rights, which _controllers applies; it retries until it has them.
        if not self._config.node or find_spec("distill_local.node.__main__") is None:
            return
        async with self._step("process node"):
            since = dt.datetime.now(dt.UTC)
            self.processes.start(components.process_node(self._config, self._paths))
            await self._until("node", lambda: self._node_is_up(since))

    async def _node_is_up(self, since: dt.datetime) -> bool:
        """Return whether the node is Ready and has renewed its lease: Ready alone may be what the one before it said."""
        lease = await self._api.read(
            f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{layout.NODE_NAME}"
        )
        if lease is None or dt.datetime.fromisoformat(lease["spec"]["renewTime"]) < since:
            return False
        return has_condition(await self._api.read(f"/api/v1/nodes/{layout.NODE_NAME}"), "Ready")

    async def _serving(self) -> None:
        if not self._config.kserve:
            return
        objects = kserve.Objects.read(Path(self._config.kserve_programs))
        known = await kserve.has_definitions(self._api, objects)
        # The gateway starts on its own definitions, while the API server still works on KServe's, which are larger.
        routes, services = (
            asyncio.create_task(
                kserve.apply_definitions(self._api, () if known else objects.definitions_of(group))
            )
            for group in (kserve.GATEWAY_GROUP, kserve.KSERVE_GROUP)
        )
        await asyncio.gather(self._gateway(routes), self._kserve(objects, (routes, services)))
        if not known:
            await kserve.note_definitions(self._api, objects)

    async def _gateway(self, definitions: asyncio.Task[None]) -> None:
        async with self._step("gateway"):
            await definitions
            await kserve.apply_gateway(self._api)
            self.processes.start(components.gateway(self._paths))
            await self._until("traefik", self._gateway_is_up)

    async def _gateway_is_up(self) -> bool:
        # On a cluster that is started again, the object still says what the gateway before this one said.
        ping = f"http://{layout.API_ADDRESS}:{layout.GATEWAY_METRICS_PORT}/ping"
        return await self._api.answers(ping) and await kserve.gateway_programmed(self._api)

    async def _kserve(self, objects: kserve.Objects, definitions: tuple[asyncio.Task[None], ...]) -> None:
        async with self._step("KServe"):
            await asyncio.gather(*definitions)
            await kserve.apply_kserve(self._api, objects, Pki(self._paths.pki))
            self.processes.start(components.kserve_controller(self._config, self._paths))
            url = f"http://{layout.API_ADDRESS}:{layout.KSERVE_HEALTH_PORT}/readyz"
            await self._until("kserve-controller", lambda: self._api.answers(url))

    async def _exists(self, path: str) -> bool:
        return await self._api.read(path) is not None

    async def _until(self, name: str, holds: Callable[[], Awaitable[bool]]) -> None:
        """Wait until `holds`; raise LocalClusterError when the component keeps ending or takes too long."""
        deadline = time.monotonic() + _STEP_SECONDS
        while not await holds():
            if self.processes.restarts[name] >= _MOST_EXITS:
                raise self._failure(name, f"ended {_MOST_EXITS} times ({self.processes.last_exit(name)})")
            if time.monotonic() > deadline:
                raise self._failure(name, f"was not ready after {_STEP_SECONDS:.0f} s")
            await asyncio.sleep(_POLL_SECONDS)

    def _fail(self, sentence: str) -> None:
        log.error("%s", sentence)
        self._update(replace(self._status, phase="failed", error=sentence))

    def _failure(self, name: str, what: str) -> LocalClusterError:
        path = self._paths.logs / f"{name}.log"
        lines = "\n".join(f"    {line[:300]}" for line in last_lines(path, 5))
        return LocalClusterError(f"{name} {what}. Its log is {path} and ends with:\n{lines}")

    @contextlib.asynccontextmanager
    async def _step(self, title: str) -> AsyncIterator[None]:
        self._update(self._status.begun(title, time.time()))
        yield
        self._update(self._status.done(title, time.time()))

    def _update(self, status: ClusterStatus) -> None:
        self._status = status
        self._write_status()

    def _write_status(self) -> None:
        replace(self._status, restarts=self.processes.restarts).write(self._paths.status)


async def _serve_relays(config: ClusterConfig, descriptors: list[int]) -> list[asyncio.Server]:
    """Serve the API server, the gateway and the gateway's metrics, in this order, on the sockets we were given."""
    inner = [(layout.API_ADDRESS, layout.API_PORT)]
    if config.kserve:
        inner += [
            (layout.API_ADDRESS, layout.GATEWAY_PORT),
            (layout.API_ADDRESS, layout.GATEWAY_METRICS_PORT),
        ]
    listeners = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    return [
        await serve_relay(listener, address, port)
        for listener, (address, port) in zip(listeners, inner, strict=False)
    ]


async def _supervise(
    config: ClusterConfig, paths: ClusterPaths, descriptors: list[int], leash: int | None
) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    if leash is not None:  # its other end closes when the process that wanted this cluster is gone
        loop.add_reader(leash, stopped.set)
    async with client_session(Pki(paths.pki), pki.SUPERVISOR) as session:
        supervisor = Supervisor(config, paths, Api(layout.API_URL, session))
        loop.add_signal_handler(signal.SIGCHLD, supervisor.processes.collect)
        servers = await _serve_relays(config, descriptors)
        start = loop.create_task(supervisor.bring_up())
        await stopped.wait()
        log.info("asked to stop: %d relays and every process of this cluster end now", len(servers))
        start.cancel()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="distill_local.supervisor", description=__doc__)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument(
        "--fd", type=int, action="append", default=[], help="a listening socket: API, gateway, metrics"
    )
    parser.add_argument(
        "--leash", type=int, help="a pipe whose end means that this cluster is not wanted any more"
    )
    return parser.parse_args()


def main() -> None:
    """Run until told to stop."""
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    paths = ClusterPaths(arguments.state)
    config = ClusterConfig.read(paths.config)
    if config is None or os.getpid() != 1:
        sys.exit("The supervisor is started by `distill up`, in namespaces of its own.")
    make_range_local(layout.LOCAL_RANGE, layout.API_ADDRESS)
    asyncio.run(_supervise(config, paths, arguments.fd, arguments.leash))
    # Leave without tidying: the kernel ends everything in the namespace with us.
    os._exit(0)


if __name__ == "__main__":
    main()
