"""A job's reconciliation on the real API server, pass by pass: others write too, and clocks go wrong.

No operator runs here: the test decides when a pass comes, what it has seen by then, and what time it is.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from cluster_world import digits
from kubernetes.aio import client, config
from operator_process import define

from distill_operator.cache import Caches
from distill_operator.cluster import Cluster
from distill_operator.handlers import Lister
from distill_operator.kinds import CORE_KINDS, RequeueAfter, job_key
from distill_operator.metrics import Metrics
from distill_operator.reconcile import Context
from distill_operator.reconcile.job import reconcile_job
from distill_operator.settings import Settings

pytestmark = pytest.mark.cluster


class Passes:
    """Passes over the job `digits`, whose claim does not exist."""

    def __init__(self, cluster, kube, namespace):
        self.kube, self.namespace = kube, namespace
        settings = Settings(namespaces=(namespace,))
        self.caches, self.requests = Caches(), []
        self.cluster = Cluster(cluster, count=lambda *request: self.requests.append(request))
        self.context = Context(settings, self.cluster, self.caches, Metrics(), lambda _: None)
        self.lister = Lister(self.cluster, self.caches, settings)
        self.now = datetime.now(UTC)

    def kubectl(self, *arguments, **options):
        return self.kube.kubectl("-n", self.namespace, *arguments, **options)

    async def see(self):
        await self.lister.list(CORE_KINDS)

    async def reconcile(self):
        """One pass; the requests that it made."""
        before = len(self.requests)
        self.answer = await reconcile_job(self.context, job_key(self.namespace, "digits"), self.now)
        return self.requests[before:]

    def status(self):
        return json.loads(self.kubectl("get", "dj", "digits", "-o", "json"))["status"]

    def made(self):
        names = self.kubectl("get", "configmaps,jobs", "-l", "distillation.dev/job=digits", "-o", "name")
        return sorted(name.partition("/")[0] for name in names.split())


@pytest.fixture
async def passes(cluster, namespace):
    define(cluster)
    async with connected(cluster) as api:
        made = Passes(api, cluster, namespace)
        made.kubectl("apply", "-f", "-", stdin=json.dumps(digits("digits")))
        yield made


@asynccontextmanager
async def connected(cluster):
    configuration = client.Configuration()
    await config.load_kube_config(str(cluster.kubeconfig), client_configuration=configuration)
    async with client.ApiClient(configuration) as api:
        yield api


async def test_a_status_that_somebody_else_has_just_written_is_written_on_the_next_pass(passes):
    await passes.see()
    passes.kubectl("annotate", "dj", "digits", "example.com/note=theirs")
    assert ("patch", "distillationjobs", "409") in await passes.reconcile()
    assert isinstance(passes.answer, RequeueAfter)
    assert passes.status() == {"phase": "Pending"}

    await passes.see()
    assert ("patch", "distillationjobs", "200") in await passes.reconcile()
    assert passes.status()["phase"] == "Checking"
    assert passes.made() == ["configmap", "job.batch"]


async def test_what_a_process_made_before_it_died_is_found_by_the_next(passes):
    """Its caches do not show the Job yet: 409, and the Job is ours."""
    await passes.see()
    await passes.reconcile()
    passes.context.caches = passes.caches = Caches()
    passes.lister = Lister(passes.cluster, passes.caches, passes.context.settings)
    await passes.lister.list(CORE_KINDS[:1])
    requests = await passes.reconcile()
    assert [code for verb, kind, code in requests if (verb, kind) == ("create", "jobs")] == ["409"]
    assert passes.made() == ["configmap", "job.batch"]


async def test_a_clock_that_jumps_writes_nothing(passes):
    """Before the pending pod's deadline, whichever way it jumps."""
    await settle(passes)
    before = passes.status()
    for minutes in (-5, 10, -5):
        passes.now += timedelta(minutes=minutes)
        await passes.see()
        assert await passes.reconcile() == []
    assert passes.status() == before


async def settle(passes):
    """Until the scheduler has said that the claim is missing, and the status says it too."""
    for _ in range(200):
        await passes.see()
        await passes.reconcile()
        conditions = {one["type"]: one["reason"] for one in passes.status()["conditions"]}
        if conditions.get("Running") == "VolumeNotFound":
            return
        await asyncio.sleep(0.1)
    raise AssertionError(conditions)
