"""What every reconciliation shares: connections, caches, settings, metrics, memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from distill_api.status import DistillationJobStatus, Phase, Progress
from distill_operator.cache import Caches
from distill_operator.cluster import Cluster
from distill_operator.gpu_time import Ask
from distill_operator.kinds import DISTILLATION_JOB, Key
from distill_operator.metrics import Metrics
from distill_operator.observe import Child
from distill_operator.plan import TrainingPlan
from distill_operator.reconcile.memory import Memory
from distill_operator.reconcile.poll import Poller
from distill_operator.settings import Settings
from distill_operator.status.changes import moved

FINAL = {Phase.SUCCEEDED, Phase.FAILED}


@dataclass
class Context:
    """Made once by `runtime`."""

    settings: Settings
    cluster: Cluster
    caches: Caches
    metrics: Metrics
    enqueue: Callable[[Key], None]
    memory: Memory = field(default_factory=Memory)
    poller: Poller = field(init=False)

    def __post_init__(self) -> None:
        self.poller = Poller(self.settings.progress_poll, self.heard)

    def heard(self, key: Key, progress: Progress) -> None:
        """A trainer said how far it is; the job is looked at again where that is news."""
        raw = self.caches[DISTILLATION_JOB].get(key.namespace, key.name)
        if raw is None:
            return
        memory = self.memory.of(key.namespace, key.name, raw["metadata"]["uid"])
        news = moved(memory.progress, progress)
        memory.progress = progress
        if news:
            self.enqueue(key)

    def account(self, key: Key, plan: TrainingPlan | None, training: Child | None, now: datetime) -> None:
        """Count the GPUs that the job's training pods hold."""
        if plan is None:
            return
        ask = Ask(plan.spec.resources.gpu_resource, plan.gpus)
        pods = training.pods if training else ()
        self.metrics.gpu_time.seen((key.namespace, key.name), ask, pods, now)

    def forget(self, key: Key, now: datetime) -> None:
        """The job is gone: so is all that was kept of it."""
        self.poller.unwatch(key)
        self.memory.forget(key.namespace, key.name)
        self.metrics.forget_job(key.namespace, key.name)
        self.metrics.gpu_time.gone((key.namespace, key.name), now)

    def measure(self, before: DistillationJobStatus, after: DistillationJobStatus, now: datetime) -> None:
        """Count what a status write tells."""
        self.metrics.job_restarts.inc(max(0, after.restarts - before.restarts))
        self.metrics.job_disruptions.inc(max(0, after.disruptions - before.disruptions))
        if after.start_time is None:
            return
        age = max(0.0, (now - datetime.fromisoformat(after.start_time)).total_seconds())
        if after.phase in FINAL and before.phase not in FINAL:
            self.metrics.job_duration.labels(after.phase.value if after.phase else "").observe(age)
        if before.attempt == 0 and after.attempt > 0:
            self.metrics.job_queue.observe(age)
