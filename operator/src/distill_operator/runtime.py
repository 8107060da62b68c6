"""The process: informers, queue, workers, leader election and health, started in order and ended together.

Crash-only: where one part fails beyond its own retries the process ends, and its Deployment starts a fresh one, which
finds everything in the cluster.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Iterable

from distill_operator.cache import Caches
from distill_operator.cluster import Cluster
from distill_operator.errors import ClusterError, NotFoundError, OperatorError
from distill_operator.handlers import Lister, Sink, run_informer
from distill_operator.health import serve
from distill_operator.kinds import CORE_KINDS, DISTILLATION_JOB, SERVING_KINDS, Key, Kind
from distill_operator.leader import Leader
from distill_operator.metrics import Metrics
from distill_operator.reconcile import Context, Reconciler
from distill_operator.settings import Settings
from distill_operator.workqueue import WorkQueue, work

logger = logging.getLogger(__name__)
STALLED_SECONDS = 120.0
FIRST_RESYNC = 10.0
PRIME_RETRY = 2.0


class StoppedError(OperatorError):
    """The process was asked to stop: ends all parts, and is no failure."""


class Runtime:
    """One operator process."""

    def __init__(self, settings: Settings, cluster: Cluster, metrics: Metrics) -> None:
        self.settings = settings
        self.cluster = cluster
        self.metrics = metrics
        self.caches = Caches()
        self.queue: WorkQueue[Key] = WorkQueue(cap=settings.retry_max, observer=metrics)
        self.context = Context(settings, cluster, self.caches, metrics, self.queue.add)
        self.lister = Lister(cluster, self.caches, settings)
        self.sink = Sink(self.caches, self.queue.add)
        self.stop = asyncio.Event()
        self.leader = Leader(cluster, settings) if settings.leader_election else None
        self._waits_for = "the caches are being filled"

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT; raises where a part failed."""
        self._catch_signals()
        probes = {"healthy": self.stalled, "ready": lambda: self._waits_for}
        port = self.settings.metrics_port
        async with serve(self.settings.metrics_host, port, exposition=self.metrics.exposition, **probes):
            try:
                await self._parts()
            except* StoppedError:
                logger.info("stopped")
            finally:
                # Last, since kopf cancels every task that is younger than itself when it ends.
                if self.leader is not None and self.leader.leads:
                    await self.leader.release()

    def stalled(self) -> str:
        """What is wrong where keys wait and no worker gets on; kopf's watches end the process by themselves."""
        if self.queue.idle or not self.queue.last_progress:
            return ""
        quiet = asyncio.get_running_loop().time() - self.queue.last_progress
        return f"no reconciliation has ended for {quiet:.0f} s" if quiet > STALLED_SECONDS else ""

    async def _parts(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._until_stopped(), name="stop")
            await self._prime()
            group.create_task(self._watch(CORE_KINDS), name="watch")
            group.create_task(self._discover(), name="discover")
            group.create_task(self._resync(), name="resync")
            if self.leader is not None:
                self._waits_for = ""  # a follower is ready to take over
                await self.leader.acquire()
                group.create_task(self.leader.hold(), name="lease")
            await self._lead(group)

    async def _until_stopped(self) -> None:
        await self.stop.wait()
        raise StoppedError("asked to stop")

    async def _lead(self, group: asyncio.TaskGroup) -> None:
        self.metrics.leads()
        self._enqueue_all()
        self.queue.last_progress = asyncio.get_running_loop().time()
        self._waits_for = ""
        group.create_task(self.context.poller.run(), name="poll")
        await work(self.queue, Reconciler(self.context), self.settings.workers)

    async def _prime(self) -> None:
        """Fill the caches before anything is decided. Waits for the CustomResourceDefinition, and says so."""
        while True:
            try:
                await self.lister.list(CORE_KINDS)
                await self._find_serving()
            except NotFoundError:
                self._waits_for = f"the cluster has no {DISTILLATION_JOB.plural}.{DISTILLATION_JOB.group}; install the chart's CRDs"
            except ClusterError as error:
                self._waits_for = f"the API server does not answer: {error}"
            else:
                return
            logger.warning("%s", self._waits_for)
            await asyncio.sleep(PRIME_RETRY)

    def _kinds(self) -> tuple[Kind, ...]:
        return CORE_KINDS + tuple(kind for kind in SERVING_KINDS if kind in self.caches.served)

    async def _find_serving(self) -> bool:
        """Whether KServe and the Gateway API are there: both, or neither is watched.

        They count as served once their lists are in the caches: with half of them, a rollout would look abandoned.
        """
        for kind in SERVING_KINDS:
            if not await self.cluster.serves(kind):
                return False
        await self.lister.list(SERVING_KINDS)
        self.caches.served |= set(SERVING_KINDS)
        return True

    async def _watch(self, kinds: tuple[Kind, ...]) -> None:
        ready = asyncio.Event()
        running = asyncio.create_task(run_informer(kinds, self.sink, self.settings, self.stop, ready))
        try:
            await asyncio.wait(
                {running, asyncio.create_task(ready.wait())}, return_when=asyncio.FIRST_COMPLETED
            )
            self._catch_signals()  # kopf takes the signals over when it starts
            await running
        finally:
            running.cancel()
        if not self.stop.is_set():
            raise RuntimeError(f"the watch of {', '.join(kind.plural for kind in kinds)} ended")

    async def _discover(self) -> None:
        """Watch KServe's kinds once they are there."""
        while not self.caches.served:
            await asyncio.sleep(self.settings.discovery)
            try:
                if await self._find_serving():
                    self._enqueue_all()
                    logger.info("KServe and the Gateway API were found; students are delivered from now on")
            except ClusterError as error:
                logger.warning("discovery of KServe: %s", error)
        await self._watch(SERVING_KINDS)

    async def _resync(self) -> None:
        delay = min(FIRST_RESYNC, self.settings.resync)
        while True:
            await asyncio.sleep(delay)
            delay = self.settings.resync
            try:
                self._enqueue_all(await self.lister.list(self._kinds()))
            except ClusterError as error:
                logger.warning("resync: %s", error)

    def _enqueue_all(self, more: Iterable[Key] = ()) -> None:
        for key in sorted({*more, *self.lister.all_keys(self._kinds())}):
            self.queue.add(key)

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop.set)


async def run(settings: Settings) -> None:
    """Connect, run, disconnect."""
    metrics = Metrics()
    cluster = await Cluster.connect(
        count=metrics.count_request,
        request_seconds=settings.request_timeout,
        crash_after_write=settings.crash_after_write,
    )
    try:
        await Runtime(settings, cluster, metrics).run()
    finally:
        await cluster.close()
