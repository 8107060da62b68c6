"""Carrying out a verdict's actions. Each is safe to repeat: names are derived, and 409 is checked by owner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from distill_operator.cache import Caches
from distill_operator.cluster import Cluster
from distill_operator.errors import AlreadyExistsError, NotFoundError, OperatorError
from distill_operator.kinds import (
    CONFIG_MAP,
    DISTILLATION_JOB,
    JOB,
    SERVICE,
    Key,
    Kind,
    Object,
    Owner,
    service_key,
)
from distill_operator.manifests import check_job, config_map, rendezvous_service, training_job
from distill_operator.plan import TrainingPlan
from distill_operator.verdict import (
    Action,
    CreateCheck,
    CreateConfig,
    CreateTraining,
    DeleteChild,
    DeleteSelf,
    Deliver,
    SetSuspend,
)


class NameTakenError(OperatorError):
    """An object of a derived name belongs to somebody else."""


@dataclass(frozen=True)
class Applier:
    """Writes for one job; what was written is in the caches before the watch tells of it."""

    cluster: Cluster
    caches: Caches
    enqueue: Callable[[Key], None]
    owner: Owner
    plan: TrainingPlan | None

    async def apply(self, action: Action) -> None:
        """Carry one action out."""
        match action:
            case CreateConfig() | CreateCheck() | CreateTraining():
                await self._create(action)
            case SetSuspend(child, suspend):
                patch = {"spec": {"suspend": suspend}}
                self.caches[JOB].put(await self.cluster.patch(JOB, self.owner.namespace, child, patch))
            case DeleteChild(child, uid):
                await self._delete(JOB, child, uid)
            case DeleteSelf():
                await self._delete(DISTILLATION_JOB, self.owner.name, self.owner.uid)
            case Deliver(service):
                self.enqueue(service_key(self.owner.namespace, service))

    async def _create(self, action: CreateConfig | CreateCheck | CreateTraining) -> None:
        if self.plan is None:
            raise AssertionError("nothing is created for an invalid spec")
        match action:
            case CreateConfig():
                await self._create_owned(CONFIG_MAP, config_map(self.plan))
            case CreateCheck():
                self.caches[JOB].put(await self._create_owned(JOB, check_job(self.plan)))
            case CreateTraining(backoff_limit):
                if self.plan.nodes > 1:
                    await self._create_owned(SERVICE, rendezvous_service(self.plan))
                self.caches[JOB].put(await self._create_owned(JOB, training_job(self.plan, backoff_limit)))

    async def _create_owned(self, kind: Kind, body: Object) -> Object:
        """Create, or find that it was created before: by a process that died, or unseen by a late watch."""
        name = body["metadata"]["name"]
        try:
            return await self.cluster.create(kind, self.owner.namespace, body)
        except AlreadyExistsError:
            present = await self.cluster.get(kind, self.owner.namespace, name)
        owners = [reference["uid"] for reference in present["metadata"].get("ownerReferences", [])]
        if self.owner.uid not in owners:
            raise NameTakenError(
                f'{kind.kind} "{name}" exists and does not belong to this job; delete or rename it'
            )
        return present

    async def _delete(self, kind: Kind, name: str, uid: str) -> None:
        try:
            await self.cluster.delete(kind, self.owner.namespace, name, uid=uid)
        except NotFoundError:
            return
