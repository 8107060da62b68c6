"""GPU seconds that training pods have held, by namespace and kind of GPU: what a fleet costs.

Arithmetic alone: `reconcile` tells which pods it sees, `metrics` asks for the totals at each scrape. A pod holds its
GPUs from the moment in which the scheduler gives it a node, also while its image is pulled, until its container has
ended. A process counts from when it began to lead: no second is counted by two. What a restart loses is the time from
the last scrape of the old process until the new one leads; what a pod held before that was scraped already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from distill_operator.observe import PodView

Job = tuple[str, str]
"""Namespace and name."""
Kind = tuple[str, str]
"""Namespace and resource name: the labels. Never a job's name, whose series would grow without end."""


@dataclass(frozen=True)
class Ask:
    """What each training pod of a job asks for."""

    resource: str
    count: int


@dataclass(frozen=True)
class _Hold:
    kind: Kind
    count: int
    begin: datetime
    end: datetime | None

    def seconds(self, since: datetime, now: datetime) -> float:
        """GPUs times seconds, none of them before `since`."""
        span = (self.end or now) - max(self.begin, since)
        return self.count * max(0.0, span.total_seconds())


class GpuTime:
    """The sums of one process."""

    def __init__(self) -> None:
        self._since: datetime | None = None
        self._settled: dict[Kind, float] = {}
        self._held: dict[Job, dict[str, _Hold]] = {}

    def begin(self, now: datetime) -> None:
        """Count from now on."""
        self._since = now

    def seen(self, job: Job, ask: Ask, pods: Iterable[PodView], now: datetime) -> None:
        """All pods of a job, as they are now; a pod that is no longer among them has given its GPUs back."""
        if not ask.count:
            return
        kind = (job[0], ask.resource)
        self._settled.setdefault(kind, 0.0)
        before = self._held.get(job, {})
        self._held[job] = {
            pod.uid: _Hold(kind, ask.count, pod.scheduled, pod.ended) for pod in pods if pod.scheduled
        }
        self._settle((hold for uid, hold in before.items() if uid not in self._held[job]), now)

    def gone(self, job: Job, now: datetime) -> None:
        """The job is no more, and so are its pods."""
        self._settle(self._held.pop(job, {}).values(), now)

    def totals(self, now: datetime) -> Mapping[Kind, float]:
        """GPU seconds so far, of pods that went and of those that are there."""
        sums = dict(self._settled)
        for holds in self._held.values():
            for hold in holds.values():
                sums[hold.kind] += hold.seconds(self._since or now, now)
        return sums

    def _settle(self, holds: Iterable[_Hold], now: datetime) -> None:
        for hold in holds:
            self._settled[hold.kind] += hold.seconds(self._since or now, now)
