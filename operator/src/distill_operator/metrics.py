"""The operator's Prometheus metrics: one place for names, labels and the life of a job's series.

Names are in base units with the prefix `distill_`; no label ever holds a uid or a step. Series that name a job are
removed with it, so that nothing alerts for a job that is no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from distill_api.status import Phase
from distill_operator.gpu_time import GpuTime

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
LONG_SECONDS = (10, 30, 60, 300, 900, 1800, 3600, 4 * 3600, 12 * 3600, 24 * 3600, 72 * 3600)
REQUESTS = {
    "create": ("configmaps", "jobs", "events", "inferenceservices", "httproutes"),
    "patch": ("distillationjobs", "jobs", "inferenceservices", "httproutes"),
    "delete": ("distillationjobs", "jobs", "inferenceservices", "httproutes"),
    "list": ("distillationjobs", "jobs", "pods", "inferenceservices", "httproutes"),
}
"""What the operator asks of the API server in the life of a job."""
ANSWERS = {
    "create": ("201", "409", "403", "422"),
    "patch": ("200", "409", "403", "422"),
    "delete": ("200", "404"),
    "list": ("200",),
}
"""Usual codes: success, and what a person would look for in a rate."""


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


class GpuSeconds(Collector):
    """Sums that are worked out when they are asked for: a training of hours must not wait for its next event."""

    def __init__(self, gpu_time: GpuTime, clock: Callable[[], datetime]) -> None:
        self._gpu_time, self._clock = gpu_time, clock

    def collect(self) -> Iterator[CounterMetricFamily]:
        """`distill_gpu_seconds_total`."""
        about = "GPUs that training pods held, times seconds; since this process began to lead."
        family = CounterMetricFamily("distill_gpu_seconds", about, labels=("namespace", "resource"))
        for kind, seconds in sorted(self._gpu_time.totals(self._clock()).items()):
            family.add_metric(kind, seconds)
        yield family


class Metrics:
    """All metrics of one process, in a registry of its own."""

    def __init__(self, clock: Callable[[], datetime] = utc_now) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # one more series each, that nobody reads
        registry = self.registry = CollectorRegistry()
        self._clock = clock
        self.gpu_time = GpuTime()
        registry.register(GpuSeconds(self.gpu_time, clock))
        self.api_requests = Counter(
            "distill_api_requests_total",
            "Requests to the API server, without watches.",
            ("verb", "resource", "code"),
            registry=registry,
        )
        self.job_info = Gauge(
            "distill_job_info",
            "1 for each DistillationJob, with its phase.",
            ("namespace", "name", "task", "phase"),
            registry=registry,
        )
        self.jobs = Gauge("distill_jobs", "DistillationJobs by phase.", ("phase",), registry=registry)
        self.job_duration = Histogram(
            "distill_job_duration_seconds",
            "From acceptance to the end.",
            ("phase",),
            buckets=LONG_SECONDS,
            registry=registry,
        )
        self.job_queue = Histogram(
            "distill_job_queue_seconds",
            "From acceptance to the first training pod that runs.",
            buckets=LONG_SECONDS,
            registry=registry,
        )
        self.job_restarts = Counter(
            "distill_job_restarts_total", "Training pods that failed and were retried.", registry=registry
        )
        self.job_disruptions = Counter(
            "distill_job_disruptions_total", "Training pods that were evicted.", registry=registry
        )
        self.reconciles = Counter(
            "distill_reconcile_total", "Reconciliations by result.", ("result",), registry=registry
        )
        self.reconcile_seconds = Histogram(
            "distill_reconcile_seconds", "Time of a reconciliation.", buckets=SECONDS, registry=registry
        )
        self.queue_depth = Gauge("distill_workqueue_depth", "Keys that wait for a worker.", registry=registry)
        self.queue_adds = Counter("distill_workqueue_adds_total", "Keys added.", registry=registry)
        self.queue_retries = Counter(
            "distill_workqueue_retries_total", "Keys tried again.", registry=registry
        )
        self.queue_seconds = Histogram(
            "distill_workqueue_queue_seconds", "Time that a key waits.", buckets=SECONDS, registry=registry
        )
        self.leader = Gauge("distill_leader", "1 in the replica that reconciles.", registry=registry)
        self.canary_weight = Gauge(
            "distill_canary_weight_ratio",
            "Share of the requests that the new version gets, as the HTTPRoute says.",
            ("namespace", "service"),
            registry=registry,
        )
        self.canary_phase = Gauge(
            "distill_canary_phase",
            "1 for each service, with the phase of its last rollout.",
            ("namespace", "service", "phase"),
            registry=registry,
        )
        self.canary_rollbacks = Counter(
            "distill_canary_rollbacks_total", "Rollouts that were taken back.", registry=registry
        )
        self._phases: dict[tuple[str, str], tuple[str, str]] = {}
        self._rollouts: dict[tuple[str, str], str] = {}
        self._initialise()

    def _initialise(self) -> None:
        """Counters are born at 0: `increase()` does not see the first event of a series that is born at 1."""
        for result in ("done", "requeued", "error"):
            self.reconciles.labels(result)
        for phase in Phase:
            self.jobs.labels(phase.value).set(0)
        for phase in (Phase.SUCCEEDED, Phase.FAILED):
            self.job_duration.labels(phase.value)
        for verb, resources in REQUESTS.items():
            for resource in resources:
                for code in ANSWERS[verb]:
                    self.api_requests.labels(verb, resource, code)

    def leads(self) -> None:
        """This process reconciles from now on, and counts."""
        self.leader.set(1)
        self.gpu_time.begin(self._clock())

    def exposition(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self.registry)

    def count_request(self, verb: str, resource: str, code: str) -> None:
        """One request to the API server."""
        self.api_requests.labels(verb, resource, code).inc()

    def set_phase(self, namespace: str, name: str, task: str, phase: str) -> None:
        """The job is in `phase`: exactly one series of it is 1."""
        before = self._phases.get((namespace, name))
        if before == (task, phase):
            return
        self.forget_job(namespace, name)
        self._phases[namespace, name] = (task, phase)
        self.job_info.labels(namespace, name, task, phase).set(1)
        self.jobs.labels(phase).inc()

    def forget_job(self, namespace: str, name: str) -> None:
        """The job is gone: so are its series."""
        before = self._phases.pop((namespace, name), None)
        if before is not None:
            task, phase = before
            self.job_info.remove(namespace, name, task, phase)
            self.jobs.labels(phase).dec()

    def set_rollout(self, namespace: str, service: str, weight: float, phase: str) -> None:
        """The service's new version gets this share (0 where there is none); exactly one phase of it is 1."""
        self.canary_weight.labels(namespace, service).set(weight)
        before = self._rollouts.get((namespace, service))
        if before is not None and before != phase:
            self.canary_phase.remove(namespace, service, before)
        self._rollouts[namespace, service] = phase
        self.canary_phase.labels(namespace, service, phase).set(1)

    def forget_rollout(self, namespace: str, service: str) -> None:
        """The service is gone: so are its series."""
        phase = self._rollouts.pop((namespace, service), None)
        if phase is not None:
            self.canary_weight.remove(namespace, service)
            self.canary_phase.remove(namespace, service, phase)

    def depth(self, value: int) -> None:
        """Keys that wait."""
        self.queue_depth.set(value)

    def added(self) -> None:
        """A key was added."""
        self.queue_adds.inc()

    def retried(self) -> None:
        """A key is tried again."""
        self.queue_retries.inc()

    def waited(self, seconds: float) -> None:
        """A key waited so long."""
        self.queue_seconds.observe(seconds)

    def worked(self, seconds: float, result: str) -> None:
        """A reconciliation took so long."""
        self.reconciles.labels(result).inc()
        self.reconcile_seconds.observe(seconds)
