"""The two batch/v1 Jobs of a DistillationJob: the contract check and the training.

What the exit codes of the trainer mean for retries stands here, as podFailurePolicy
(https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-failure-policy).
"""

from __future__ import annotations

from distill_api.contract import ExitCode
from distill_operator.kinds import JOB, Object
from distill_operator.manifests.metadata import metadata
from distill_operator.manifests.pods import PodShape, check_shape, pod_template, training_shape
from distill_operator.observe import CONFIG_ANNOTATION
from distill_operator.plan import TrainingPlan

CHECK_RETRIES = 2


def check_job(plan: TrainingPlan) -> Object:
    """The contract check."""
    return _job(plan, plan.check_name, check_shape(), CHECK_RETRIES)


def training_job(plan: TrainingPlan, backoff_limit: int) -> Object:
    """The training; `backoff_limit` is what is left of `policy.backoffLimit`.

    Pods that train together end together, so that one failure counts once for each of them. The first one's end is the
    training's: by then the others have nothing left to do.
    """
    job = _job(plan, plan.training_name, training_shape(plan), backoff_limit * plan.nodes)
    job["spec"] |= {"completionMode": "Indexed"}
    if plan.nodes > 1:
        job["spec"] |= {
            "parallelism": plan.nodes,
            "completions": plan.nodes,
            "successPolicy": {"rules": [{"succeededIndexes": "0"}]},
        }
    return job


def _job(plan: TrainingPlan, name: str, shape: PodShape, backoff_limit: int) -> Object:
    meta = metadata(plan.owner, name, shape.role)
    meta["annotations"] |= {CONFIG_ANNOTATION: plan.config_name}
    return {
        "apiVersion": JOB.api_version,
        "kind": JOB.kind,
        "metadata": meta,
        "spec": {
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": backoff_limit,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {"rules": failure_rules()},
            "template": pod_template(plan, shape),
        },
    }


def failure_rules() -> list[Object]:
    """Evictions are not counted, wrong input is not retried; everything else counts against backoffLimit."""
    permanent = sorted(code.value for code in ExitCode if code.permanent)
    return [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [ExitCode.DISRUPTED.value]}},
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": permanent}},
    ]
