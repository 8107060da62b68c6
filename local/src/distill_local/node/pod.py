"""The life of one pod on this node, from binding to the removal of its object.

`sync` makes a `PodWorker` for each pod and tells it about changes.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal
from dataclasses import replace
from datetime import datetime
from typing import Any

from distill_local.node.api import ApiError
from distill_local.node.context import Node
from distill_local.node.launch import Place
from distill_local.node.model import Terminated, View, is_sidecar, now, parse_timestamp
from distill_local.node.network import PodNetwork
from distill_local.node.payload import MissingError, Scope
from distill_local.node.publish import Publisher
from distill_local.node.recover import first_views
from distill_local.node.refuse import REASON, refusal
from distill_local.node.runner import Runner
from distill_local.node.status import PodFacts, pod_status
from distill_local.node.volumes import PodVolumes
from distill_local.node.watch import FAULTS

_log = logging.getLogger(__name__)
_RETRY_SECONDS = 1.0
_REFRESH_SECONDS = 10.0
_SIDECAR_GRACE = 2.0
_DEADLINE = ("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")


class PodWorker:
    """Runs one pod; `update` and `gone` say what became of its object."""

    def __init__(self, node: Node, pod: dict[str, Any]) -> None:
        self.node, self.pod = node, pod
        self.uid: str = pod["metadata"]["uid"]
        self.views = first_views(pod)
        self.runners: dict[str, Runner] = {}
        self._network: PodNetwork | None = None
        self._volumes = PodVolumes(node.api, node.pod_folder(self.uid) / "volumes")
        started = (pod.get("status") or {}).get("startTime")
        self._started: datetime = parse_timestamp(started) if started else now()
        self._failed: tuple[str, str] | None = None
        self._over = False
        self._ending = asyncio.Event()
        self._object_gone = False
        self._hasty = False
        self._publisher = Publisher(node.api, pod, self._status, self.update)
        self.update(pod)

    @property
    def policy(self) -> str:
        """The pod's restart policy."""
        return str(self.pod["spec"].get("restartPolicy", "Always"))

    def view(self, container: str) -> View | None:
        """Return what is known of one container."""
        runner = self.runners.get(container)
        return runner.view if runner is not None else self.views.get(container)

    def update(self, pod: dict[str, Any]) -> None:
        """Take note of a change of the object; a deletion begins the end."""
        self.pod = pod
        if pod["metadata"].get("deletionTimestamp"):
            self._ending.set()

    def gone(self) -> None:
        """Take note that the object was removed: whatever runs is killed at once."""
        self._object_gone = True
        self._ending.set()
        for runner in self.runners.values():
            if runner.process is not None:
                runner.process.signal(signal.SIGKILL)

    async def run(self) -> None:
        """Live through the pod's life; returns when its object is gone."""
        phase = (self.pod.get("status") or {}).get("phase")
        if phase in {"Succeeded", "Failed"}:
            await self._ending.wait()
        else:
            publishing = asyncio.create_task(self._publisher.run())
            try:
                await self._live()
            finally:
                publishing.cancel()
                self._release()
            self._over = True
            await self._publisher.write()
            await self._ending.wait()
            await self._publisher.write()
        await self._finalize()

    async def _live(self) -> None:
        reason = refusal(self.pod)
        if reason is not None:
            self._failed = (REASON, reason)
            self.node.events.post(self.pod, REASON, reason)
            return
        self._publisher.changed()
        work = asyncio.create_task(self._work())
        ending = asyncio.create_task(self._ending.wait())
        try:
            done, _ = await asyncio.wait(
                {work, ending}, timeout=self._seconds_left(), return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                self._failed = _DEADLINE
                self.node.events.post(self.pod, *_DEADLINE)
            if work in done:
                work.result()
        except asyncio.CancelledError:
            self._hasty = True  # the node itself ends
            raise
        finally:
            ending.cancel()
            await self._stop(work)

    def _seconds_left(self) -> float | None:
        limit = self.pod["spec"].get("activeDeadlineSeconds")
        return None if limit is None else max(0.0, limit - (now() - self._started).total_seconds())

    def _grace(self) -> float:
        if self._object_gone or self._hasty:
            return 0.0
        metadata = self.pod["metadata"]
        default = self.pod["spec"].get("terminationGracePeriodSeconds", 30)
        return float(metadata.get("deletionGracePeriodSeconds", default))

    async def _stop(self, work: asyncio.Task[None]) -> None:
        """End every container, main ones before sidecars, and then the work itself."""
        sidecars = {c["name"] for c in self.pod["spec"].get("initContainers") or [] if is_sidecar(c)}
        grace = self._grace()
        mains = [runner.stop(grace) for name, runner in self.runners.items() if name not in sidecars]
        await asyncio.gather(*mains)
        await asyncio.gather(
            *(self.runners[name].stop(min(grace, _SIDECAR_GRACE)) for name in sidecars & self.runners.keys())
        )
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    async def _work(self) -> None:
        network = self._network = self.node.network.attach()
        self._publisher.changed()
        scope = Scope(
            self.pod,
            {"podIP": network.address, "hostIP": self.node.settings.address},
            self.node.settings.capacity,
        )
        await self._mount(scope)
        refreshing = asyncio.create_task(self._refresh(scope))
        try:
            if await self._initialize(network):
                mains = [
                    self._runner(container, self.policy, network).start()
                    for container in self.pod["spec"]["containers"]
                ]
                await asyncio.gather(*mains)
        finally:
            refreshing.cancel()

    async def _mount(self, scope: Scope) -> None:
        said = ""
        while True:
            try:
                await self._volumes.refresh(replace(scope, pod=self.pod))
            except (MissingError, *FAULTS) as error:
                if str(error) != said:
                    said = str(error)
                    self.node.events.post(self.pod, "FailedMount", said)
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return

    async def _refresh(self, scope: Scope) -> None:
        """Bring files from ConfigMaps, Secrets, tokens and labels up to date from time to time."""
        while True:
            await asyncio.sleep(_REFRESH_SECONDS)
            await self._mount(scope)

    async def _initialize(self, network: PodNetwork) -> bool:
        """Run the init containers one after the other; False if one failed for good."""
        for container in self.pod["spec"].get("initContainers") or []:
            if is_sidecar(container):
                runner = self._runner(container, "Always", network)
                runner.start()
                await runner.begun.wait()
                continue
            view = self.views[container["name"]]
            if isinstance(view.state, Terminated) and view.state.exit_code == 0:
                continue  # done before this node was restarted
            runner = self._runner(container, "Never" if self.policy == "Never" else "OnFailure", network)
            await runner.start()
            if not isinstance(runner.view.state, Terminated) or runner.view.state.exit_code != 0:
                return False
        return True

    def _runner(self, container: dict[str, Any], policy: str, network: PodNetwork) -> Runner:
        place = Place(self.pod, network.address, network.namespace, self._volumes)
        runner = Runner(
            self.node, place, container, policy, self.views[container["name"]], self._publisher.changed
        )
        self.runners[container["name"]] = runner
        return runner

    def _status(self) -> dict[str, Any]:
        views = self.views | {name: runner.view for name, runner in self.runners.items()}
        facts = PodFacts(
            self.node.settings.address,
            self._network.address if self._network else None,
            self._started,
            self._over,
            *(self._failed or (None, None)),
        )
        return pod_status(self.pod, views, facts, now())

    def _release(self) -> None:
        """Give back what only a running pod needs; its address stays in its status."""
        self.node.names.leave(self.pod)
        if self._network is not None:
            self.node.network.detach(self._network)
        self._volumes.remove()

    async def _finalize(self) -> None:
        """Remove the object, now that nothing of the pod runs, and then the pod's folder."""
        metadata = self.pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        body = {"gracePeriodSeconds": 0, "preconditions": {"uid": self.uid}}
        while not self._object_gone:
            try:
                await self.node.api.delete(path, body)
                break
            except ApiError as error:
                if error.code in {404, 409}:
                    break
                _log.warning(
                    "pod %s/%s cannot be removed yet: %s", metadata["namespace"], metadata["name"], error
                )
            except FAULTS as error:
                _log.warning(
                    "pod %s/%s cannot be removed yet: %s", metadata["namespace"], metadata["name"], error
                )
            await asyncio.sleep(_RETRY_SECONDS)
        shutil.rmtree(self.node.pod_folder(self.uid), ignore_errors=True)
        self.node.events.forget(self.uid)
