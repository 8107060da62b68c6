"""The headless Service by which the pods of a training find each other: `<training>-0.<training>` is the first one.

https://kubernetes.io/docs/concepts/workloads/controllers/job/#completion-mode gives each pod of an Indexed Job that name.
"""

from __future__ import annotations

from distill_api.contract import RENDEZVOUS_PORT
from distill_operator.kinds import SERVICE, Object
from distill_operator.manifests.metadata import job_labels, metadata
from distill_operator.plan import TrainingPlan


def rendezvous_service(plan: TrainingPlan) -> Object:
    """Names for pods that are not ready yet, too: none is before all have met."""
    return {
        "apiVersion": SERVICE.api_version,
        "kind": SERVICE.kind,
        "metadata": metadata(plan.owner, plan.training_name, "train"),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": job_labels(plan.owner, "train"),
            "ports": [{"name": "rendezvous", "port": RENDEZVOUS_PORT}],
        },
    }


def rendezvous_host(plan: TrainingPlan) -> str:
    """The first pod, by its name in the namespace."""
    return f"{plan.training_name}-0.{plan.training_name}"
