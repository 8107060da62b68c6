"""Labels, annotations and owner references that every object of a job carries."""

from __future__ import annotations

from distill_api import KIND
from distill_api.naming import JOB_LABEL, MANAGED_BY, ROLE_LABEL, label_name
from distill_operator.kinds import DISTILLATION_JOB, Object, Owner


def job_labels(owner: Owner, role: str) -> dict[str, str]:
    """Labels by which a job's objects are watched and found."""
    return MANAGED_BY | {JOB_LABEL: label_name(owner.name), ROLE_LABEL: role}


def job_annotations(owner: Owner) -> dict[str, str]:
    """The job's whole name: a label holds 63 characters, a name may have 253."""
    return {JOB_LABEL: owner.name}


def owner_reference(owner: Owner) -> Object:
    """The reference by which Kubernetes removes the object with its DistillationJob."""
    return {
        "apiVersion": DISTILLATION_JOB.api_version,
        "kind": KIND,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def metadata(owner: Owner, name: str, role: str) -> Object:
    """metadata of an object that belongs to a job."""
    return {
        "name": name,
        "namespace": owner.namespace,
        "labels": job_labels(owner, role),
        "annotations": job_annotations(owner),
        "ownerReferences": [owner_reference(owner)],
    }
