"""Keeps one worker for each pod that the scheduler bound to this node.

`__main__` runs `run`; `server` looks workers up for logs.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any

from distill_local.node.context import Node
from distill_local.node.pod import PodWorker
from distill_local.node.recover import clear_leftovers
from distill_local.node.watch import FAULTS, changes

_log = logging.getLogger(__name__)
_RETRY_SECONDS = 1.0


@dataclass
class Pods:
    """The workers by the uid of their pod."""

    node: Node
    workers: dict[str, PodWorker] = field(default_factory=dict)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    @property
    def _path(self) -> str:
        return f"/api/v1/pods?fieldSelector=spec.nodeName={self.node.settings.name}"

    def find(self, namespace: str, name: str) -> PodWorker | None:
        """Return the worker of a pod by name."""
        for worker in self.workers.values():
            metadata = worker.pod["metadata"]
            if (metadata["namespace"], metadata["name"]) == (namespace, name):
                return worker
        return None

    async def run(self) -> None:
        """Follow the pods of this node for ever."""
        await self._clear_leftovers()
        async for kind, pod in changes(self.node.api, self._path):
            uid = pod["metadata"]["uid"]
            worker = self.workers.get(uid)
            if kind == "DELETED":
                if worker is not None:
                    worker.gone()
            elif worker is not None:
                worker.update(pod)
            else:
                self._begin(uid, PodWorker(self.node, pod))

    def _begin(self, uid: str, worker: PodWorker) -> None:
        self.workers[uid] = worker
        self._tasks[uid] = asyncio.create_task(self._live(uid, worker))

    async def _clear_leftovers(self) -> None:
        while True:
            try:
                listed = await self.node.api.get(self._path)
            except FAULTS as error:
                _log.warning("the pods of this node cannot be listed yet: %s", error or type(error).__name__)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            clear_leftovers(
                self.node.settings.state / "pods", {pod["metadata"]["uid"] for pod in listed["items"]}
            )
            return

    async def _live(self, uid: str, worker: PodWorker) -> None:
        """Run a worker; a fault of the node's own ends that one pod's processes and begins again."""
        try:
            await worker.run()
        except Exception:  # noqa: BLE001 - one pod's fault must not end the others
            metadata: dict[str, Any] = worker.pod["metadata"]
            _log.exception(
                "pod %s/%s: the node made a mistake and starts over", metadata["namespace"], metadata["name"]
            )
            await asyncio.sleep(_RETRY_SECONDS)
            again = PodWorker(self.node, worker.pod)
            self._begin(uid, again)
        else:
            self.workers.pop(uid, None)
            self._tasks.pop(uid, None)

    async def stop(self) -> None:
        """End every pod's processes without a word to the API: the next node sees to the pods."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
