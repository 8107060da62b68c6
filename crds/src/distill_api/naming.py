"""Names, labels and digests that every part derives the same way.

A DistillationJob's name may have 253 characters and dots; a pod's labels and host name have 63 and none. Derived
names are cut to fit and carry a hash of the whole name, so that two jobs never share one by chance.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic.alias_generators import to_camel

from distill_api.job import DistillationJobSpec

DOMAIN = "distillation.dev"
JOB_LABEL = f"{DOMAIN}/job"
"""The job's name cut to a label's 63 characters; the whole name is in the annotation of the same key."""
ROLE_LABEL = f"{DOMAIN}/role"
"""`check`, `train` (pods and Jobs) or `server` (InferenceServices)."""
SERVICE_LABEL = f"{DOMAIN}/service"
"""Name of the service that an InferenceService is a version of."""
DIGEST_ANNOTATION = f"{DOMAIN}/digest"
ROLLOUT_ANNOTATION = f"{DOMAIN}/rollout"
MANAGED_BY = {"app.kubernetes.io/managed-by": "distillation-operator"}

# An Indexed Job's pods are named <job>-<index>-<random 5> and their host name is <job>-<index>: both within 63.
DERIVED_NAME_LIMIT = 52


def digest(value: Any) -> str:
    """`sha256:…` of a JSON document in canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def short(full_digest: str, length: int = 8) -> str:
    """The first hexadecimal digits of a digest."""
    return full_digest.removeprefix("sha256:")[:length]


def label_name(name: str, limit: int = 63) -> str:
    """`name` as a label value and host label: without dots, cut with a hash where it is too long."""
    plain = name.replace(".", "-")
    if plain == name and len(name) <= limit:
        return name
    return f"{plain[: limit - 9].rstrip('-')}-{short(digest(name))}"


def derived_name(name: str, *suffixes: str, limit: int = DERIVED_NAME_LIMIT) -> str:
    """`name-suffix-…`, within `limit` characters, valid as a host label."""
    tail = "-".join(suffixes)
    return f"{label_name(name, limit - len(tail) - 1)}-{tail}" if tail else label_name(name, limit)


def immutable_part(spec: DistillationJobSpec) -> dict[str, Any]:
    """The fields of a spec that cannot change once the job exists."""
    wire = spec.wire()
    return {key: wire[key] for key in map(to_camel, spec.frozen_fields) if key in wire}


def recipe_digest(spec: DistillationJobSpec) -> str:
    """Digest of what shapes the student: the immutable spec without where it runs, as whom, and where anything is written."""
    part = immutable_part(spec)
    dataset = {key: value for key, value in part["dataset"].items() if key != "secretRef"}
    if "files" in dataset:
        dataset["files"] = {key: value for key, value in dataset["files"].items() if key != "sizeLimit"}
    outputs = {key: value for key, value in part["teacherOutputs"].items() if key != "store"}
    shaping = {key: value for key, value in part.items() if key not in {"output", "resources"}}
    return digest(shaping | {"dataset": dataset, "teacherOutputs": outputs})


def child_name(job_name: str, uid: str, role: str = "") -> str:
    """Name of a job's child: one per DistillationJob's life, so that a successor of the same name gets its own."""
    return derived_name(job_name, short(digest([job_name, uid])), *([role] if role else []))


def server_name(service: str, student_digest: str) -> str:
    """InferenceService of one version: `<service>-<digest8>`; its predictor's host label stays within 63."""
    return f"{service}-{short(student_digest)}"


def service_host(service: str, namespace: str, domain: str) -> str:
    """Host name under which clients reach a service: `<service>-<namespace>.<domain>`, its first label within 63."""
    return f"{label_name(f'{service}-{namespace}')}.{domain}"
