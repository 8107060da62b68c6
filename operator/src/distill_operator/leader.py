"""Leader election by a Lease: of several replicas one reconciles, the others keep warm caches.

The same protocol as client-go's leaderelection: whoever holds a Lease that is not expired by *its own* clock is
followed, so that clocks need not agree. A leader that cannot renew ends its process: two must never work at once.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

from distill_operator.cluster import Cluster
from distill_operator.errors import (
    AlreadyExistsError,
    ClusterError,
    ConflictError,
    NotFoundError,
    OperatorError,
)
from distill_operator.kinds import LEASE, Object
from distill_operator.settings import Settings

logger = logging.getLogger(__name__)


class LeadershipLostError(OperatorError):
    """Another replica may lead by now."""


class Leader:
    """One replica's view of the Lease."""

    def __init__(self, cluster: Cluster, settings: Settings) -> None:
        self._cluster = cluster
        self._settings = settings
        self._seen: tuple[str, float] = ("", 0.0)
        self.leads = False

    @property
    def _retry(self) -> float:
        return self._settings.lease_seconds / 5

    async def acquire(self) -> None:
        """Return when this replica leads."""
        while True:
            if await self._try():
                break
            await asyncio.sleep(self._retry)
        self.leads = True
        logger.info("leading as %s", self._settings.pod_name)

    async def hold(self) -> None:
        """Renew until cancelled. Raises LeadershipLostError where that did not work for two thirds of the lease."""
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        while True:
            await asyncio.sleep(self._retry)
            if await self._try():
                renewed = loop.time()
            elif loop.time() - renewed > self._settings.lease_seconds * 2 / 3:
                raise LeadershipLostError("the Lease could not be renewed; another replica takes over")

    async def release(self) -> None:
        """Let another replica begin at once."""
        try:
            lease = await self._cluster.get(
                LEASE, self._settings.operator_namespace, self._settings.lease_name
            )
            if lease["spec"].get("holderIdentity") == self._settings.pod_name:
                await self._write(lease, holder="")
        except ClusterError as error:
            logger.info("the Lease was not released: %s", error)

    async def _try(self) -> bool:
        try:
            return await self._take()
        except (AlreadyExistsError, ConflictError):
            return False
        except ClusterError as error:
            logger.warning("Lease: %s", error)
            return False

    async def _take(self) -> bool:
        settings = self._settings
        try:
            lease = await self._cluster.get(LEASE, settings.operator_namespace, settings.lease_name)
        except NotFoundError:
            body: Object = {
                "apiVersion": LEASE.api_version,
                "kind": LEASE.kind,
                "metadata": {"name": settings.lease_name, "namespace": settings.operator_namespace},
                "spec": self._spec({}, settings.pod_name),
            }
            await self._cluster.create(LEASE, settings.operator_namespace, body)
            return True
        holder = lease["spec"].get("holderIdentity") or ""
        if holder not in {"", settings.pod_name} and not self._expired(lease):
            return False
        await self._write(lease, settings.pod_name)
        return True

    def _expired(self, lease: Object) -> bool:
        """Whether the Lease has not changed for its duration, by this process' own clock."""
        now = asyncio.get_running_loop().time()
        version = lease["metadata"]["resourceVersion"]
        if self._seen[0] != version:
            self._seen = (version, now)
        return now - self._seen[1] > float(lease["spec"].get("leaseDurationSeconds", 0))

    async def _write(self, lease: Object, holder: str) -> None:
        body = lease | {"spec": self._spec(lease["spec"], holder)}
        await self._cluster.replace(LEASE, self._settings.operator_namespace, self._settings.lease_name, body)

    def _spec(self, before: Object, holder: str) -> Object:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        changed = before.get("holderIdentity") != holder
        return before | {
            "holderIdentity": holder,
            "leaseDurationSeconds": int(self._settings.lease_seconds),
            "renewTime": now,
            "acquireTime": now if changed else before.get("acquireTime", now),
            "leaseTransitions": before.get("leaseTransitions", 0) + (1 if changed and holder else 0),
        }
