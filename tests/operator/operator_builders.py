"""Short ways to say what is observed: a job in some state, its Jobs, its pods."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from distill_api.job import DistillationJobSpec
from distill_api.status import Condition, DistillationJobStatus
from distill_operator.kinds import Owner
from distill_operator.observe import Child, Observed, PodView
from distill_operator.plan import training_plan
from distill_operator.settings import Settings
from distill_operator.verdict import Case

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
OWNER = Owner("team-a", "digits", "uid-1")
SPEC = {
    "task": "ImageClassification",
    "teacher": {
        "builtin": {"name": "convnet-large"},
        "weights": {"uri": "pvc://models/digits-teacher.safetensors"},
    },
    "student": {"builtin": {"name": "convnet-small"}},
    "dataset": {"builtin": {"name": "digits"}},
    "output": {"uri": "pvc://models/students/digits"},
}


def ago(seconds):
    return NOW - timedelta(seconds=seconds)


def spec(**changes):
    return DistillationJobSpec.model_validate(SPEC | changes)


def pod(**fields):
    values = {"name": "digits-0", "uid": "pod-1", "phase": "Running", "created": ago(60)} | fields
    return PodView(**values)


def running(seconds=30, **fields):
    return pod(started=ago(seconds), ip="10.0.0.1", **fields)


def pending(seconds=30, **fields):
    return pod(phase="Pending", created=ago(seconds), **fields)


def ended(code, said=None, **fields):
    phase = "Succeeded" if code == 0 else "Failed"
    message = json.dumps(said) if isinstance(said, dict) else said or ""
    values = {"started": ago(30), "exit_code": code, "end_message": message, "end_reason": "Error"} | fields
    return pod(phase=phase, **values)


def child(*pods, **fields):
    plan = training_plan(OWNER, spec(), Settings())
    values = {
        "name": "digits-x",
        "uid": "job-1",
        "created": ago(60),
        "start_time": ago(60),
        "backoff_limit": 3,
        "config_name": plan.config_name,
    } | fields
    return Child(pods=pods, **values)


def status(phase=None, conditions=(), **fields):
    said = [
        Condition(
            type=kind, status=value, reason=reason, message="", last_transition_time="2026-01-02T03:00:00Z"
        )
        for kind, value, reason in conditions
    ]
    return DistillationJobStatus(phase=phase, conditions=said, **fields)


CHECKED = status("Starting", [("Accepted", "True", "Accepted"), ("ContractValid", "True", "ContractValid")])


def case(spec_=None, *, settings=None, **fields):
    """A case at NOW; `spec_` may hold fields of the spec, or be False where it is invalid."""
    settings = settings or Settings()
    parsed = None if spec_ is False else spec(**(spec_ or {}))
    plan = training_plan(OWNER, parsed, settings) if parsed else None
    observed = Observed(owner=OWNER, generation=1, spec=parsed, **fields)
    return Case(observed, plan, settings, NOW)


RESULT = {
    "metric": "accuracy",
    "samples": 360,
    "student": {
        "metric": 0.979,
        "metricLow": 0.965,
        "metricHigh": 0.99,
        "parameters": 10,
        "bytes": 40,
        "latencyP50Seconds": 0.001,
        "latencyP99Seconds": 0.002,
    },
    "teacher": {
        "metric": 0.988,
        "metricLow": 0.977,
        "metricHigh": 0.997,
        "parameters": 120,
        "bytes": 480,
        "latencyP50Seconds": 0.001,
        "latencyP99Seconds": 0.002,
    },
    "drop": {"value": 0.009, "low": 0.003, "high": 0.016, "confidence": 0.95},
    "agreement": 0.981,
    "compression": 12.0,
    "retained": 0.991,
    "artifact": {"uri": "pvc://models/students/digits/versions/0", "digest": "sha256:0", "bytes": 40},
    "report": "pvc://models/students/digits/versions/0/report.html",
}
OUTCOME = {"reason": "Succeeded", "message": "done", "result": RESULT}
