"""Kubernetes Events: what `kubectl describe` shows as the job's story."""

from __future__ import annotations

from datetime import datetime

from distill_api import KIND
from distill_api.naming import digest, label_name, short
from distill_operator.kinds import DISTILLATION_JOB, EVENT, Object, Owner

MESSAGE_LIMIT = 1024
REPORTER = "distillation-operator"


def event(owner: Owner, kind: str, reason: str, message: str, now: datetime, *, once: bool = False) -> Object:
    """An Event about the job; `kind` is Normal or Warning. With `once` the same sentence has the same name at any time."""
    time = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    # Times are whole seconds, and kubectl shows what has the same time in the order of names.
    place = "" if once else f"{int(now.timestamp() * 1_000_000):x}-"
    name = f"{label_name(owner.name, 200)}.{place}{short(digest([owner.uid, reason, message]))}"
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.kind,
        "metadata": {"name": name, "namespace": owner.namespace},
        "involvedObject": {
            "apiVersion": DISTILLATION_JOB.api_version,
            "kind": KIND,
            "namespace": owner.namespace,
            "name": owner.name,
            "uid": owner.uid,
        },
        "type": kind,
        "reason": reason,
        "message": message[:MESSAGE_LIMIT],
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
        "source": {"component": REPORTER},
        "reportingComponent": REPORTER,
        "reportingInstance": REPORTER,
    }
