"""Kubernetes Events about pods, as a kubelet posts them; an event that cannot be posted is logged and lost."""

from __future__ import annotations

import asyncio
import logging
import secrets
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from distill_local.node.api import Api, ApiError
from distill_local.node.model import now, timestamp
from distill_local.node.watch import FAULTS

_log = logging.getLogger(__name__)
_MESSAGE_AT_MOST = 1024


@dataclass
class _Series:
    """One Event object and how often it was seen; `turn` keeps two posts of it from overtaking each other."""

    name: str = ""
    count: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass
class Events:
    """Posts events; the same one about the same container is counted, not repeated."""

    api: Api
    node: str
    _posted: dict[tuple[str, str, str, str], _Series] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def post(
        self, pod: dict[str, Any], reason: str, message: str, *, warning: bool = True, container: str = ""
    ) -> None:
        """Post an event about a pod, or one of its containers, in the background."""
        task = asyncio.create_task(
            self._post(pod, reason, message[:_MESSAGE_AT_MOST], warning=warning, container=container)
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def flush(self) -> None:
        """Wait for the events that are on their way."""
        await asyncio.gather(*self._tasks)

    def forget(self, uid: str) -> None:
        """Forget what was posted about a pod that is gone."""
        self._posted = {key: value for key, value in self._posted.items() if key[0] != uid}

    async def _post(
        self, pod: dict[str, Any], reason: str, message: str, *, warning: bool, container: str
    ) -> None:
        metadata = pod["metadata"]
        series = self._posted.setdefault((metadata["uid"], container, reason, message), _Series())
        path = f"/api/v1/namespaces/{metadata['namespace']}/events"
        at = timestamp(now())
        async with series.turn:
            try:
                if series.count and await self._counted(path, series, at):
                    return
                name = f"{metadata['name'][:200]}.{secrets.token_hex(8)}"
                await self.api.create(path, self._event(pod, name, (reason, message, warning, container), at))
                series.name, series.count = name, 1
            except FAULTS as error:
                _log.info("event %s about %s was not posted: %s", reason, metadata["name"], error)

    async def _counted(self, path: str, series: _Series, at: str) -> bool:
        """Count the event once more; return whether it was still there (the API server keeps events for an hour)."""
        try:
            await self.api.patch(f"{path}/{series.name}", {"count": series.count + 1, "lastTimestamp": at})
        except ApiError as error:
            if error.code != HTTPStatus.NOT_FOUND:
                raise
            return False
        series.count += 1
        return True

    def _event(
        self, pod: dict[str, Any], name: str, what: tuple[str, str, bool, str], at: str
    ) -> dict[str, Any]:
        reason, message, warning, container = what
        metadata = pod["metadata"]
        involved = {"apiVersion": "v1", "kind": "Pod"} | {
            k: metadata[k] for k in ("name", "namespace", "uid")
        }
        if container:
            involved["fieldPath"] = f"spec.containers{{{container}}}"
        return {
            "metadata": {"name": name, "namespace": metadata["namespace"]},
            "involvedObject": involved,
            "reason": reason,
            "message": message,
            "type": "Warning" if warning else "Normal",
            "source": {"component": "distill-process-node", "host": self.node},
            "reportingComponent": "distill-process-node",
            "reportingInstance": self.node,
            "firstTimestamp": at,
            "lastTimestamp": at,
            "count": 1,
        }
