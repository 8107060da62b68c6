"""What is written to the cluster for one job: pure functions from a plan to Kubernetes objects.

Golden files of each are in tests/operator/golden. `reconcile` writes them; nothing here talks to a cluster.
"""

from distill_operator.manifests.config import config_map
from distill_operator.manifests.events import event
from distill_operator.manifests.jobs import check_job, training_job
from distill_operator.manifests.services import rendezvous_service

__all__ = ["check_job", "config_map", "event", "rendezvous_service", "training_job"]
