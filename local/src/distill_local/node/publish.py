"""Writes a pod's status to the API: each change once, for as long as it takes.

`pod` owns one `Publisher` for each pod.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from distill_local.node.api import STRATEGIC, Api, ApiError
from distill_local.node.watch import FAULTS

_log = logging.getLogger(__name__)
_GATHER_SECONDS = 0.02
_RETRY_SECONDS = 0.5


@dataclass
class Publisher:
    """Patches the status of one pod whenever `changed` was called and `status` says something new."""

    api: Api
    pod: dict[str, Any]
    status: Callable[[], dict[str, Any]]
    seen: Callable[[dict[str, Any]], None]
    _dirty: asyncio.Event = field(default_factory=asyncio.Event)
    _written: dict[str, Any] | None = None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def changed(self) -> None:
        """Say that the status may be different now."""
        self._dirty.set()

    async def run(self) -> None:
        """Write changes until cancelled; those that come together are written together."""
        while True:
            await self._dirty.wait()
            await asyncio.sleep(_GATHER_SECONDS)
            await self.write()

    async def write(self) -> None:
        """Write the status as it is now; returns when it is written, or the pod is gone."""
        async with self._lock:
            while True:
                self._dirty.clear()
                status = self.status()
                if status == self._written or await self._try(status):
                    return
                await asyncio.sleep(_RETRY_SECONDS)

    async def _try(self, status: dict[str, Any]) -> bool:
        metadata = self.pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status"
        body = {"metadata": {"uid": metadata["uid"]}, "status": status}
        try:
            answer = await self.api.patch(path, body, STRATEGIC)
        except ApiError as error:
            if error.code == 404 or (error.code == 409 and "uid" in str(error).lower()):
                return True  # the pod is gone, perhaps replaced by another of its name
            _log.warning("status of pod %s/%s: %s", metadata["namespace"], metadata["name"], error)
            return error.code == 422  # what the API finds invalid now, it will find invalid again
        except FAULTS as error:
            _log.warning(
                "status of pod %s/%s is written again: %s", metadata["namespace"], metadata["name"], error
            )
            return False
        self._written = status
        self.seen(answer)  # before the watch tells it, so that the next status keeps these transition times
        return True
