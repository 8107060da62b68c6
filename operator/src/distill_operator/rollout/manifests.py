"""What a rollout writes: one InferenceService per version, and the HTTPRoute that splits the requests.

Pure builders with golden files in the tests. KServe copies an InferenceService's labels and annotations to its pods,
so nothing that changes during a rollout may stand there: a new value would restart the servers.
"""

from __future__ import annotations

from dataclasses import dataclass

from distill_api.naming import (
    DIGEST_ANNOTATION,
    DOMAIN,
    MANAGED_BY,
    ROLE_LABEL,
    ROLLOUT_ANNOTATION,
    SERVICE_LABEL,
    derived_name,
    label_name,
    server_name,
    short,
)
from distill_operator.kinds import HTTP_ROUTE, INFERENCE_SERVICE, Object
from distill_operator.rollout.model import Candidate, State, Weights
from distill_operator.rollout.plan_text import steps_text
from distill_operator.rollout.quantities import amount
from distill_operator.rollout.state import encode
from distill_operator.rollout.times import span

JOB_ANNOTATION = f"{DOMAIN}/job"
JOB_UID_ANNOTATION = f"{DOMAIN}/job-uid"
JOB_CREATED_ANNOTATION = f"{DOMAIN}/job-created"
STEPS_ANNOTATION = f"{DOMAIN}/canary-steps"
DEADLINE_ANNOTATION = f"{DOMAIN}/progress-deadline"
DEPLOYMENT_MODE = "serving.kserve.io/deploymentMode"
"""Standard since KServe 0.16; RawDeployment, its name before, is still understood."""
AUTOSCALER = "serving.kserve.io/autoscalerClass"
"""`none`: minReplicas is the Deployment's count of pods, without a HorizontalPodAutoscaler that wants metrics."""
VISIBILITY = "networking.kserve.io/visibility"
VERSION_LABEL = "serving.kserve.io/inferenceservice"
"""KServe's label on the pods of an InferenceService."""
BACKEND_SUFFIX = "-predictor"
BACKEND_PORT = 80
"""KServe's Service of a predictor in Standard mode, and its first port."""
HOST_LABEL_LIMIT = 63


@dataclass(frozen=True)
class Ingress:
    """Where routes are attached and under which domain services answer."""

    gateway_namespace: str
    gateway_name: str
    domain: str


def version_name(service: str, namespace: str, digest: str) -> str:
    """Name of a version's InferenceService, short enough for the host label `<name>-<namespace>` that KServe makes."""
    name = server_name(service, digest)
    limit = HOST_LABEL_LIMIT - 1 - len(namespace)
    shortest = len(short(digest)) + 11
    return (
        name if len(name) <= limit or limit < shortest else derived_name(service, short(digest), limit=limit)
    )


def hostname(service: str, namespace: str, domain: str) -> str:
    """`<service>-<namespace>.<domain>`; the first label is cut with a hash where it has more than 63 characters."""
    return f"{label_name(f'{service}-{namespace}', HOST_LABEL_LIMIT)}.{domain}"


def url(service: str, namespace: str, domain: str) -> str:
    """Where clients send requests."""
    return f"http://{hostname(service, namespace, domain)}"


def inference_service(
    candidate: Candidate, *, service: str, namespace: str, model_format: str = "distilled-student"
) -> Object:
    """The InferenceService of one version. No job owns it: what is served outlives the job that made it."""
    return {
        "apiVersion": INFERENCE_SERVICE.api_version,
        "kind": INFERENCE_SERVICE.kind,
        "metadata": {
            "name": candidate.version,
            "namespace": namespace,
            # Without an ingress of its own: requests reach it through our HTTPRoute alone.
            "labels": labels(service) | {ROLE_LABEL: "server", VISIBILITY: "cluster-local"},
            "annotations": {
                DEPLOYMENT_MODE: "Standard",
                AUTOSCALER: "none",
                DIGEST_ANNOTATION: candidate.digest,
                JOB_ANNOTATION: candidate.job,
                JOB_UID_ANNOTATION: candidate.uid,
                JOB_CREATED_ANNOTATION: candidate.created,
                STEPS_ANNOTATION: steps_text(candidate.plan),
                DEADLINE_ANNOTATION: span(candidate.plan.progress_deadline),
            },
        },
        "spec": {"predictor": _predictor(candidate, service, model_format)},
    }


def _predictor(candidate: Candidate, service: str, model_format: str) -> Object:
    return {
        **replicas(candidate),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "model": {
            "modelFormat": {"name": model_format},
            "storageUri": candidate.uri,
            # After the runtime's own arguments; the last one counts. All versions answer to the service's name.
            "args": [f"--model_name={service}"],
            "resources": resources(candidate),
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        },
    }


def replicas(candidate: Candidate) -> Object:
    """As many pods as the job says, no more: a version's capacity does not change under a measurement."""
    return {"minReplicas": candidate.replicas, "maxReplicas": candidate.replicas}


def resources(candidate: Candidate) -> Object:
    """Requests, and the limit of memory. KServe sets a CPU limit of its own, which must not be below the request."""
    limits = {"memory": candidate.memory}
    if (amount(candidate.cpu) or 0) > 1:
        limits["cpu"] = candidate.cpu
    return {"requests": {"cpu": candidate.cpu, "memory": candidate.memory}, "limits": limits}


def resize_patch(candidate: Candidate) -> Object:
    """Merge patch that gives a version its job's replicas and resources."""
    return {"spec": {"predictor": replicas(candidate) | {"model": {"resources": resources(candidate)}}}}


def http_route(state: State, weights: Weights, *, service: str, namespace: str, ingress: Ingress) -> Object:
    """The HTTPRoute with state and weights: written in one request, so that they never disagree."""
    return {
        "apiVersion": HTTP_ROUTE.api_version,
        "kind": HTTP_ROUTE.kind,
        "metadata": {
            "name": service,
            "namespace": namespace,
            "labels": labels(service),
            "annotations": {ROLLOUT_ANNOTATION: encode(state)},
        },
        "spec": {
            "parentRefs": [parent_ref(ingress)],
            "hostnames": [hostname(service, namespace, ingress.domain)],
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                    "backendRefs": [backend_ref(version, weight) for version, weight in weights],
                }
            ],
        },
    }


def parent_ref(ingress: Ingress) -> Object:
    """KServe's gateway."""
    return {
        "group": "gateway.networking.k8s.io",
        "kind": "Gateway",
        "namespace": ingress.gateway_namespace,
        "name": ingress.gateway_name,
    }


def backend_ref(version: str, weight: int) -> Object:
    """The Service that KServe makes for a version."""
    return {
        "group": "",
        "kind": "Service",
        "name": version + BACKEND_SUFFIX,
        "port": BACKEND_PORT,
        "weight": weight,
    }


def labels(service: str) -> dict[str, str]:
    """What makes an object one of ours, and of this service."""
    return MANAGED_BY | {SERVICE_LABEL: service}
