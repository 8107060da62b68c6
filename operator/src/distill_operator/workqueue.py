"""A work queue with the semantics of client-go's (k8s.io/client-go/util/workqueue), for one event loop.

A key is queued once however often it is added; it is never given to two workers at a time; added while it is worked
on, it is queued again when that worker is done. `handlers` add keys, `reconcile` works them off.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

from distill_operator.kinds import RequeueAfter

logger = logging.getLogger(__name__)
K = TypeVar("K")


class QueueObserver(Protocol):
    """What is told about the queue; `metrics` implements it."""

    def depth(self, value: int) -> None: ...  # noqa: D102

    def added(self) -> None: ...  # noqa: D102

    def retried(self) -> None: ...  # noqa: D102

    def waited(self, seconds: float) -> None: ...  # noqa: D102

    def worked(self, seconds: float, result: str) -> None: ...  # noqa: D102


class Silent:
    """An observer that ignores everything."""

    def depth(self, value: int) -> None:
        """Ignore."""

    def added(self) -> None:
        """Ignore."""

    def retried(self) -> None:
        """Ignore."""

    def waited(self, seconds: float) -> None:
        """Ignore."""

    def worked(self, seconds: float, result: str) -> None:
        """Ignore."""


class WorkQueue(Generic[K]):
    """Deduplicating queue with delays and exponential back-off.

    `base` and `cap` are the first and the longest back-off in seconds; each is drawn from its upper half, so that
    many keys that failed together do not come back together.
    """

    def __init__(
        self, *, base: float = 0.2, cap: float = 60.0, observer: QueueObserver | None = None
    ) -> None:
        self.base = base
        self.cap = cap
        self.observer: QueueObserver = observer or Silent()
        self.last_progress = 0.0
        self._ready: deque[K] = deque()
        self._added_at: dict[K, float] = {}
        self._dirty: set[K] = set()
        self._working: set[K] = set()
        self._failures: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._ready)

    @property
    def idle(self) -> bool:
        """Whether nothing is queued and nothing is worked on (keys that wait for a time do not count)."""
        return not self._ready and not self._working

    def add(self, key: K) -> None:
        """Queue `key`, if it is not queued already."""
        if key in self._dirty:
            return
        self._dirty.add(key)
        self.observer.added()
        if key not in self._working:
            self._push(key)

    def add_after(self, key: K, delay: float) -> None:
        """Queue `key` after `delay` seconds; of several delays for one key the earliest counts."""
        if delay <= 0:
            self.add(key)
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + delay
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= due:
                return
            timer.cancel()
        self._timers[key] = loop.call_at(due, self._fire, key)

    def add_rate_limited(self, key: K) -> float:
        """Queue `key` after its back-off, which doubles with each failure. Returns the delay in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(self.cap, self.base * 2.0 ** min(failures, 32)) * random.uniform(0.5, 1.0)
        self.observer.retried()
        self.add_after(key, delay)
        return delay

    def forget(self, key: K) -> None:
        """`key` succeeded: its next back-off starts from the beginning."""
        self._failures.pop(key, None)

    def failures(self, key: K) -> int:
        """Failures of `key` since it last succeeded."""
        return self._failures.get(key, 0)

    async def get(self) -> K:
        """The next key; waits for one. Whoever gets it must call `done`."""
        while not self._ready:
            self._wake.clear()
            await self._wake.wait()
        key = self._ready.popleft()
        self._dirty.discard(key)
        self._working.add(key)
        now = asyncio.get_running_loop().time()
        self.observer.waited(now - self._added_at.pop(key, now))
        self.observer.depth(len(self._ready))
        return key

    def done(self, key: K) -> None:
        """The worker that got `key` is through with it."""
        self._working.discard(key)
        if key in self._dirty:
            self._push(key)

    def _fire(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _push(self, key: K) -> None:
        self._ready.append(key)
        self._added_at[key] = asyncio.get_running_loop().time()
        self.observer.depth(len(self._ready))
        self._wake.set()


Worker = Callable[[K], Awaitable[RequeueAfter | None]]


async def work(queue: WorkQueue[K], worker: Worker[K], concurrency: int) -> None:
    """Work the queue off, `concurrency` keys at a time, until cancelled."""
    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(_work(queue, worker))


async def _work(queue: WorkQueue[K], worker: Worker[K]) -> None:
    while True:
        key = await queue.get()
        try:
            await _work_one(queue, worker, key)
        finally:
            queue.done(key)
            queue.last_progress = asyncio.get_running_loop().time()


async def _work_one(queue: WorkQueue[K], worker: Worker[K], key: K) -> None:
    """One key. Whatever goes wrong is logged and tried again: one bad object must not stop the others."""
    started = asyncio.get_running_loop().time()
    try:
        again = await worker(key)
    except Exception as error:
        result = "error"
        delay = queue.add_rate_limited(key)
        known = type(error).__module__.startswith("distill_operator")
        logger.warning("%s: %s; trying again in %.1f s", key, error, delay, exc_info=None if known else error)
    else:
        result = "requeued" if again else "done"
        queue.forget(key)
        if again:
            queue.add_after(key, again.seconds)
    queue.observer.worked(asyncio.get_running_loop().time() - started, result)
