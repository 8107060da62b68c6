"""What an event means: which store it belongs in, and which keys have to be looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from distill_api.naming import JOB_LABEL, SERVICE_LABEL
from distill_operator.cache import Caches, named_service
from distill_operator.kinds import DISTILLATION_JOB, Key, Kind, Object, job_key, service_key

DELETED = "DELETED"


@dataclass(frozen=True)
class Sink:
    """Where events go."""

    caches: Caches
    enqueue: Callable[[Key], None]

    def take(self, kind: Kind, event_type: str | None, raw: Object) -> None:
        """Take one event. Events that tell nothing new wake nobody."""
        obj = raw | {"metadata": dict(raw["metadata"])}
        store = self.caches[kind]
        before = store.get(obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        changed = store.remove(obj) if event_type == DELETED else store.put(obj)
        if not changed:
            return
        keys = keys_of(self.caches, kind, obj)
        if before is not None:
            keys |= keys_of(self.caches, kind, before)
        for key in sorted(keys):
            self.enqueue(key)


def keys_of(caches: Caches, kind: Kind, obj: Object) -> set[Key]:
    """The keys that an object concerns: its job's, its service's, and those of all jobs that name the service."""
    metadata = obj["metadata"]
    namespace = metadata.get("namespace", "")
    if kind == DISTILLATION_JOB:
        return {job_key(namespace, metadata["name"])} | _services(named_service(obj))
    keys = set()
    job = metadata.get("annotations", {}).get(JOB_LABEL)
    if job:
        keys.add(job_key(namespace, job))
    service = metadata.get("labels", {}).get(SERVICE_LABEL)
    if service:
        keys.add(service_key(namespace, service))
        keys |= _jobs_of(caches, f"{namespace}/{service}")
    return keys


def _services(names: Iterable[str]) -> set[Key]:
    return {service_key(*name.split("/", 1)) for name in names}


def _jobs_of(caches: Caches, service: str) -> set[Key]:
    jobs = caches[DISTILLATION_JOB].select("service", service)
    return {job_key(job["metadata"]["namespace"], job["metadata"]["name"]) for job in jobs}
