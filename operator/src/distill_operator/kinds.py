"""The Kubernetes kinds that the operator reads or writes, and the keys by which work is queued.

Every other module names a kind by these constants; nobody spells a URL or a plural a second time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from distill_api import GROUP, KIND, PLURAL, VERSION

Object = dict[str, Any]
"""A Kubernetes object as JSON, as it came from the API server or goes to it."""


@dataclass(frozen=True)
class Kind:
    """One kind of one API version."""

    group: str
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        """`apps/v1`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def base(self) -> str:
        """Path of the API version on the server."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str = "") -> str:
        """URL path of a collection (over all namespaces when none is given) or of one object."""
        parts = [self.base]
        if namespace is not None:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name is not None:
            parts.append(name)
        if subresource:
            parts.append(subresource)
        return "/".join(parts)


DISTILLATION_JOB = Kind(GROUP, VERSION, PLURAL, KIND)
CONFIG_MAP = Kind("", "v1", "configmaps", "ConfigMap")
SERVICE = Kind("", "v1", "services", "Service")
POD = Kind("", "v1", "pods", "Pod")
EVENT = Kind("", "v1", "events", "Event")
JOB = Kind("batch", "v1", "jobs", "Job")
LEASE = Kind("coordination.k8s.io", "v1", "leases", "Lease")
INFERENCE_SERVICE = Kind("serving.kserve.io", "v1beta1", "inferenceservices", "InferenceService")
HTTP_ROUTE = Kind("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute")

CORE_KINDS = (DISTILLATION_JOB, JOB, POD)
"""Watched always."""
SERVING_KINDS = (INFERENCE_SERVICE, HTTP_ROUTE)
"""Watched where they are installed."""

JOB_KEY = "DistillationJob"
SERVICE_KEY = "Service"


@dataclass(frozen=True, order=True)
class Key:
    """What a worker is given: the kind of reconciliation, and for which object."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True)
class Owner:
    """The DistillationJob that everything made for it belongs to."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True)
class RequeueAfter:
    """A reconciliation's wish to be called again after so many seconds, whatever happens meanwhile."""

    seconds: float


def job_key(namespace: str, name: str) -> Key:
    """Key of a DistillationJob."""
    return Key(JOB_KEY, namespace, name)


def service_key(namespace: str, name: str) -> Key:
    """Key of a service that versions are rolled out under (`spec.serving.kserve.inferenceService`)."""
    return Key(SERVICE_KEY, namespace, name)
