"""In which order a process comes to know things."""

import asyncio

from distill_operator.kinds import CORE_KINDS, SERVING_KINDS, service_key
from distill_operator.metrics import Metrics
from distill_operator.runtime import Runtime
from distill_operator.settings import Settings

SERVED = {
    "metadata": {
        "name": "digits-1",
        "namespace": "team-a",
        "uid": "u",
        "resourceVersion": "7",
        "labels": {"distillation.dev/service": "digits"},
    }
}


class KServeArrives:
    """Answers as an API server in which KServe gets installed, and notes what is decided from at each list."""

    def __init__(self):
        self.installed = False
        self.seen = []

    async def serves(self, kind):
        return self.installed

    async def list(self, kind, namespace, selector=""):
        self.seen.append((kind, set(self.runtime.caches.served)))
        return ([SERVED] if kind in SERVING_KINDS else []), 7


async def test_a_rollout_is_decided_on_whole_caches_alone():
    """Between two lists a service would look as if its versions, or its route, were gone."""
    cluster = KServeArrives()
    runtime = cluster.runtime = Runtime(Settings(discovery=0.01), cluster, Metrics())
    await runtime._prime()
    assert runtime.caches.served == set()
    cluster.installed = True
    runtime._watch = lambda kinds: asyncio.sleep(0)

    await asyncio.wait_for(runtime._discover(), 10)
    assert cluster.seen == [(kind, set()) for kind in CORE_KINDS + SERVING_KINDS]
    assert runtime.caches.served == set(SERVING_KINDS)
    assert await asyncio.wait_for(runtime.queue.get(), 10) == service_key("team-a", "digits")


def test_series_whose_labels_are_known_exist_from_the_start():
    """`increase()` does not see the first event of a series that is born at 1."""
    text = Metrics().exposition().decode()
    for series in (
        'distill_job_duration_seconds_count{phase="Succeeded"} 0.0',
        'distill_job_duration_seconds_count{phase="Failed"} 0.0',
        'distill_reconcile_total{result="error"} 0.0',
        'distill_jobs{phase="Running"} 0.0',
        "distill_canary_rollbacks_total 0.0",
    ):
        assert f"\n{series}\n" in text
