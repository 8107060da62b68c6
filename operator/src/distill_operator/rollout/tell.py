"""A rollout's notices as Kubernetes Events of the job. Called by `reconcile`, after the write that they are about."""

from __future__ import annotations

import logging
from datetime import datetime

from distill_operator.cluster import Cluster
from distill_operator.errors import AlreadyExistsError, ClusterError
from distill_operator.kinds import EVENT, Owner
from distill_operator.manifests.events import event
from distill_operator.rollout.decision import Notice

logger = logging.getLogger(__name__)


async def tell(cluster: Cluster, namespace: str, notice: Notice, now: datetime) -> None:
    """Write one Event. One that is lost is no reason to stop."""
    owner = Owner(namespace, notice.job, notice.uid)
    kind = "Warning" if notice.warning else "Normal"
    body = event(owner, kind, notice.reason, notice.message, now, once=notice.once)
    try:
        await cluster.create(EVENT, namespace, body)
    except AlreadyExistsError:
        logger.debug("%s/%s: %s is told already", namespace, notice.job, notice.reason)
    except ClusterError as error:
        logger.warning("%s/%s: no Event %s: %s", namespace, notice.job, notice.reason, error)
