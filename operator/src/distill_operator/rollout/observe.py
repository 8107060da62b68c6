"""From cached objects to an ObservedService: the only place that reads KServe's and the Gateway's JSON.

Pure; called by `reconcile` with what the caches hold, and by `status`. Sources of the fields: serving.kserve.io/v1beta1,
gateway.networking.k8s.io/v1.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import ValidationError

from distill_api.delivery import Serving
from distill_api.naming import DIGEST_ANNOTATION, MANAGED_BY, ROLLOUT_ANNOTATION, SERVICE_LABEL
from distill_api.status import ConditionType, RolloutPhase
from distill_operator.kinds import Object
from distill_operator.rollout import manifests
from distill_operator.rollout.failure import trouble
from distill_operator.rollout.manifests import Ingress, version_name
from distill_operator.rollout.model import Candidate, ObservedService, Route, Version
from distill_operator.rollout.plan_text import parse_plan, plan_from
from distill_operator.rollout.state import decode

FINAL = {RolloutPhase.ROLLED_BACK.value, RolloutPhase.SUPERSEDED.value}


def observe(
    namespace: str,
    name: str,
    *,
    jobs: Iterable[Object],
    inference_services: Iterable[Object],
    pods: Iterable[Object],
    route: Object | None,
    ingress: Ingress,
) -> ObservedService:
    """All that is known of a service."""
    living = [job for job in jobs if _names(job, name) and not job["metadata"].get("deletionTimestamp")]
    candidates = [candidate for job in living if (candidate := candidate_of(job))]
    pods = list(pods)
    return ObservedService(
        namespace=namespace,
        name=name,
        route=route_of(route, name, namespace, ingress) if route else None,
        state=decode(_annotations(route).get(ROLLOUT_ANNOTATION)) if route else None,
        versions=tuple(version_of(item, pods) for item in inference_services if is_version(item, name)),
        candidates=tuple(sorted(candidates, key=lambda candidate: candidate.order)),
        jobs=frozenset(job["metadata"]["uid"] for job in living),
    )


def candidate_of(job: Object) -> Candidate | None:
    """The student that the job wants served: trained, through its gate, and with an artifact."""
    artifact = ((job.get("status") or {}).get("result") or {}).get("artifact") or {}
    serving = _serving(job)
    if serving is None or not artifact.get("digest") or not _passed(job):
        return None
    metadata, kserve = job["metadata"], serving.kserve
    version = version_name(kserve.inference_service, metadata["namespace"], artifact["digest"])
    said = (job.get("status") or {}).get("serving") or {}
    return Candidate(
        job=metadata["name"],
        uid=metadata["uid"],
        created=metadata.get("creationTimestamp", ""),
        digest=artifact["digest"],
        uri=artifact["uri"].rstrip("/"),
        version=version,
        plan=plan_from(serving.canary),
        replicas=kserve.min_replicas,
        cpu=kserve.resources.cpu,
        memory=kserve.resources.memory,
        ended=said.get("phase") in FINAL and said.get("inferenceService") == version,
    )


def is_version(inference_service: Object, service: str) -> bool:
    """Whether we made it, as a version of this service."""
    labels = inference_service["metadata"].get("labels") or {}
    ours = all(labels.get(key) == value for key, value in MANAGED_BY.items())
    return (
        ours and labels.get(SERVICE_LABEL) == service and DIGEST_ANNOTATION in _annotations(inference_service)
    )


def version_of(inference_service: Object, pods: Iterable[Object] | None) -> Version:
    """The version that an InferenceService is, with the state of its own pods (all Ready where none are given)."""
    metadata, notes = inference_service["metadata"], _annotations(inference_service)
    predictor = (inference_service.get("spec") or {}).get("predictor") or {}
    mine = [pod for pod in pods or () if _belongs(pod, metadata["name"])]
    wanted = predictor.get("minReplicas", 1)
    answering = sum(1 for pod in mine if _condition(pod.get("status") or {}, "Ready"))
    requests = ((predictor.get("model") or {}).get("resources") or {}).get("requests") or {}
    return Version(
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        digest=notes[DIGEST_ANNOTATION],
        order=(notes.get(manifests.JOB_CREATED_ANNOTATION, ""), notes.get(manifests.JOB_ANNOTATION, "")),
        plan=parse_plan(
            notes.get(manifests.STEPS_ANNOTATION, ""), notes.get(manifests.DEADLINE_ANNOTATION, "")
        ),
        says_ready=_condition(inference_service.get("status") or {}, "Ready"),
        ready_pods=wanted if pods is None else answering,
        deleting="deletionTimestamp" in metadata,
        trouble=trouble(inference_service, mine),
        replicas=wanted,
        memory=requests.get("memory", ""),
        cpu=requests.get("cpu", ""),
    )


def route_of(route: Object, service: str, namespace: str, ingress: Ingress) -> Route:
    """Who gets what, and whether the gateway has taken it."""
    metadata, spec = route["metadata"], route["spec"]
    labels = metadata.get("labels") or {}
    rules = spec.get("rules") or [{}]
    parents = spec.get("parentRefs") or []
    intact = (
        len(rules) == 1
        and "filters" not in rules[0]
        and spec.get("hostnames") == [manifests.hostname(service, namespace, ingress.domain)]
        and len(parents) == 1
        and _is_gateway(parents[0], ingress)
        and all(_is_backend(ref) for ref in rules[0].get("backendRefs") or [])
    )
    confirmed, said = _verdict(route, ingress)
    return Route(
        resource_version=metadata.get("resourceVersion", ""),
        weights=tuple(_weight(ref) for ref in rules[0].get("backendRefs") or []),
        intact=intact,
        confirmed=confirmed,
        trouble=said,
        ours=all(labels.get(key) == value for key, value in manifests.labels(service).items()),
    )


def _verdict(route: Object, ingress: Ingress) -> tuple[bool, str]:
    """Whether our gateway has accepted this generation with all its backends; what it says where not."""
    generation = route["metadata"].get("generation", 0)
    for parent in (route.get("status") or {}).get("parents") or []:
        if not _is_gateway(parent.get("parentRef") or {}, ingress):
            continue
        current = [
            condition
            for condition in parent.get("conditions") or []
            if condition["type"] in {"Accepted", "ResolvedRefs"}
            and condition.get("observedGeneration", generation) >= generation
        ]
        refused = [condition for condition in current if condition["status"] != "True"]
        if refused:
            return False, f"{refused[0].get('reason', '')}: {refused[0].get('message', '')}".strip(": ")
        return len(current) == 2, ""
    return False, f"gateway {ingress.gateway_namespace}/{ingress.gateway_name} has not answered"


def _serving(job: Object) -> Serving | None:
    try:
        document = job["spec"].get("serving")
        return Serving.model_validate(document) if document else None
    except ValidationError:
        return None


def _passed(job: Object) -> bool:
    status = job.get("status") or {}
    trained = _condition(status, ConditionType.TRAINED.value)
    gated = _condition(status, ConditionType.GATE_PASSED.value)
    return trained and (gated or not job["spec"].get("gate"))


def _names(job: Object, service: str) -> bool:
    kserve = ((job.get("spec") or {}).get("serving") or {}).get("kserve") or {}
    return bool(kserve.get("inferenceService") == service)


def _belongs(pod: Object, version: str) -> bool:
    metadata = pod["metadata"]
    label = (metadata.get("labels") or {}).get(manifests.VERSION_LABEL)
    return label == version and "deletionTimestamp" not in metadata


def _is_gateway(ref: Object, ingress: Ingress) -> bool:
    return (ref.get("namespace"), ref.get("name")) == (ingress.gateway_namespace, ingress.gateway_name)


def _is_backend(ref: Object) -> bool:
    service = ref.get("kind", "Service") == "Service" and ref.get("port") == manifests.BACKEND_PORT
    return bool(service and str(ref.get("name", "")).endswith(manifests.BACKEND_SUFFIX))


def _weight(ref: Object) -> tuple[str, int]:
    return str(ref.get("name", "")).removesuffix(manifests.BACKEND_SUFFIX), int(ref.get("weight", 1))


def _condition(status: Object, kind: str) -> bool:
    conditions = status.get("conditions") or []
    return any(condition["type"] == kind and condition["status"] == "True" for condition in conditions)


def _annotations(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("annotations") or {}
