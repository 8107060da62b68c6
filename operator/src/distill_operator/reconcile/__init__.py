"""Bringing one key a step further. `runtime` gives this to the work queue's workers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from distill_operator.kinds import SERVICE_KEY, Key, RequeueAfter
from distill_operator.reconcile.context import Context
from distill_operator.reconcile.job import reconcile_job
from distill_operator.rollout.reconcile import reconcile_service


def utc_now() -> datetime:
    """The wall clock; the only place where the operator's decisions get a time from."""
    return datetime.now(UTC)


class Reconciler:
    """Chooses the reconciliation by the key's kind."""

    def __init__(self, context: Context, clock: Callable[[], datetime] = utc_now) -> None:
        self.context = context
        self._clock = clock

    async def __call__(self, key: Key) -> RequeueAfter | None:
        """One pass over one key."""
        now = self._clock()
        if key.kind != SERVICE_KEY:
            return await reconcile_job(self.context, key, now)
        context = self.context
        wait = await reconcile_service(
            key,
            context.caches,
            context.cluster,
            context.settings,
            now,
            metrics=context.metrics,
            wake=context.enqueue,
        )
        return None if wait is None else RequeueAfter(wait)


__all__ = ["Context", "Reconciler"]
