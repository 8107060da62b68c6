"""From the caches to `Observed`: no request, whatever the state."""

from __future__ import annotations

from datetime import datetime

from distill_api.job import DistillationJobSpec
from distill_api.status import Progress, ServingStatus
from distill_operator.cache import Caches
from distill_operator.kinds import HTTP_ROUTE, INFERENCE_SERVICE, JOB, POD, SERVING_KINDS, Object, Owner
from distill_operator.observe import Child, Observed, observe_child, observe_spec, observe_status
from distill_operator.plan import TrainingPlan, training_plan
from distill_operator.reconcile.memory import JobMemory
from distill_operator.rollout.status import serving_status
from distill_operator.settings import Settings


def owner_of(raw: Object) -> Owner:
    """The DistillationJob as an owner."""
    metadata = raw["metadata"]
    return Owner(metadata["namespace"], metadata["name"], metadata["uid"])


def gather(
    raw: Object, caches: Caches, memory: JobMemory, settings: Settings, now: datetime
) -> tuple[Observed, TrainingPlan | None]:
    """All that is known about a job, and its plan where the spec is valid."""
    owner = owner_of(raw)
    spec, invalid = observe_spec(raw.get("spec"))
    status = observe_status(raw.get("status"))
    plan = training_plan(owner, spec, settings) if spec else None
    training = _child(caches, owner, plan.training_name) if plan else None
    attempt, disruptions = memory.count(training, status)
    observed = Observed(
        owner=owner,
        generation=raw["metadata"].get("generation", 0),
        spec=spec,
        invalid=invalid,
        status=status,
        deleting="deletionTimestamp" in raw["metadata"],
        check=_child(caches, owner, plan.check_name) if plan else None,
        training=training,
        progress=_progress(memory, training),
        attempt=attempt,
        disruptions=disruptions,
        serving_installed=set(SERVING_KINDS) <= caches.served,
        serving=_serving(raw, spec, caches, now),
    )
    return observed, plan


def _child(caches: Caches, owner: Owner, name: str) -> Child | None:
    job = caches[JOB].get(owner.namespace, name)
    if job is None:
        return None
    return observe_child(job, caches[POD].select("owner", job["metadata"]["uid"]))


def _progress(memory: JobMemory, training: Child | None) -> Progress | None:
    return memory.progress if training is not None else None


def _serving(
    raw: Object, spec: DistillationJobSpec | None, caches: Caches, now: datetime
) -> ServingStatus | None:
    if spec is None or spec.serving is None or not set(SERVING_KINDS) <= caches.served:
        return None
    namespace, service = raw["metadata"]["namespace"], spec.serving.kserve.inference_service
    index = f"{namespace}/{service}"
    return serving_status(
        raw,
        caches[INFERENCE_SERVICE].select("service", index),
        caches[HTTP_ROUTE].get(namespace, service),
        now,
        pods=caches[POD].select("service", index),
    )
