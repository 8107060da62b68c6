"""One pass over one service: observe from the caches, decide, carry out, and again until nothing is left to do.

The operator's workers call `reconcile_service`. Every write is safe to repeat: the route is written at the version
that was read, versions have deterministic names, deletions name a uid. Killed anywhere, the next pass goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from distill_api.naming import SERVICE_LABEL
from distill_operator.cache import Caches
from distill_operator.cluster import Cluster
from distill_operator.errors import (
    AlreadyExistsError,
    ClusterError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NamespaceTerminatingError,
    NotFoundError,
)
from distill_operator.kinds import (
    DISTILLATION_JOB,
    HTTP_ROUTE,
    INFERENCE_SERVICE,
    POD,
    Key,
    job_key,
)
from distill_operator.metrics import Metrics
from distill_operator.rollout import manifests, transitions
from distill_operator.rollout.decide import decide
from distill_operator.rollout.decision import (
    CreateVersion,
    Decision,
    DeleteRoute,
    DeleteVersion,
    Notice,
    ResizeVersion,
    WriteRoute,
)
from distill_operator.rollout.manifests import Ingress
from distill_operator.rollout.model import Candidate, ObservedService, State, Version
from distill_operator.rollout.observe import is_version, observe
from distill_operator.rollout.rules import roll_back
from distill_operator.rollout.tell import tell
from distill_operator.settings import Settings

logger = logging.getLogger(__name__)

CHANGES_PER_PASS = 8
BY_ABSENCE = {"NothingLeft", "StableGone"}
"""Decisions made from what is not there. A cache that is still being filled must not end a service."""
AGAIN_SECONDS = 1.0
"""After a write whose result the caches do not show yet; the event that it causes usually comes first."""


async def reconcile_service(
    key: Key,
    caches: Caches,
    cluster: Cluster,
    settings: Settings,
    now: datetime,
    *,
    metrics: Metrics | None = None,
    wake: Callable[[Key], None] | None = None,
) -> float | None:
    """Bring the service a step further; the seconds until it wants to be looked at again without an event.

    `wake` is called with the keys of the service's jobs when there is something for them to tell: what is written here
    is in the caches at once, so that the watch's event of it tells nothing new and wakes nobody.
    Raises ClusterError where the API server cannot be reached or refuses for a reason that may pass.
    """
    work = _Pass(key, caches, cluster, settings, now, metrics, wake)
    try:
        return await work.run()
    except NamespaceTerminatingError:
        return None
    except (ConflictError, NotFoundError) as error:
        # Something has changed since it was cached; the event about it is on its way.
        logger.info("%s: %s", key, error)
        return AGAIN_SECONDS


def gateway_knows(service: ObservedService) -> bool:
    """Whether no event is to come any more from a gateway that takes a changed route."""
    return service.route is None or service.route.confirmed or not service.route.ours


@dataclass(frozen=True)
class _Pass:
    key: Key
    caches: Caches
    cluster: Cluster
    settings: Settings
    now: datetime
    metrics: Metrics | None
    wake: Callable[[Key], None] | None

    async def run(self) -> float | None:
        """Decide and act until there is nothing to do, at most `CHANGES_PER_PASS` times."""
        if not {INFERENCE_SERVICE, HTTP_ROUTE} <= self.caches.served:
            return None
        changes = 0
        while changes < CHANGES_PER_PASS:
            service = self.observe()
            self.measure(service)
            decision = decide(service, self.now)
            if decision.action is None:
                if changes and gateway_knows(service):
                    self.wake_jobs()
                return decision.wait
            changes += 1
            if decision.reason in BY_ABSENCE and not await self.all_seen():
                continue
            logger.info("%s: %s %s", self.key, decision.reason, decision.message)
            shown = await self.try_to(service, decision)
            await self.tell(decision)
            if not shown:
                break
        self.wake_jobs()
        return AGAIN_SECONDS

    async def try_to(self, service: ObservedService, decision: Decision) -> bool:
        """Carry out; a refusal that may pass is said in the jobs' status before the work queue tries again."""
        try:
            return await self.carry_out(service, decision)
        except NamespaceTerminatingError:
            raise
        except (InvalidError, ForbiddenError) as error:
            await self.remember(service, f"refused, and tried again: {error.message}")
            self.wake_jobs()
            raise

    async def remember(self, service: ObservedService, refusal: str) -> None:
        """Keep a refusal with the state, and tell the newest job once."""
        state = service.state
        try:
            if state is not None and service.route is not None and service.route.ours:
                await self.write_route(service, replace(state, refused=refusal))
        except ClusterError as error:
            logger.info("%s: the refusal could not be kept: %s", self.key, error)
        notices = tuple(
            Notice(one.uid, one.job, "RolloutBlocked", refusal, warning=True, once=True)
            for one in service.candidates[-1:]
        )
        await self.tell(Decision("RolloutBlocked", notices=notices))

    def wake_jobs(self) -> None:
        """Let the jobs of the service tell how it stands."""
        if self.wake is None:
            return
        for job in self.caches[DISTILLATION_JOB].select("service", f"{self.key.namespace}/{self.key.name}"):
            self.wake(job_key(self.key.namespace, job["metadata"]["name"]))

    async def all_seen(self) -> bool:
        """Whether the caches hold every version that the API server has: asked before anything is given up."""
        selector = f"{SERVICE_LABEL}={self.key.name}"
        items, _ = await self.cluster.list(INFERENCE_SERVICE, self.key.namespace, selector)
        unseen = [item for item in items if self.caches[INFERENCE_SERVICE].put(item)]
        return not unseen

    def observe(self) -> ObservedService:
        """What the caches know of the service."""
        namespace, name = self.key.namespace, self.key.name
        index = f"{namespace}/{name}"
        return observe(
            namespace,
            name,
            jobs=self.caches[DISTILLATION_JOB].select("service", index),
            inference_services=self.caches[INFERENCE_SERVICE].select("service", index),
            pods=self.caches[POD].select("service", index),
            route=self.caches[HTTP_ROUTE].get(namespace, name),
            ingress=self.ingress,
        )

    @property
    def ingress(self) -> Ingress:
        """The gateway of the installation."""
        settings = self.settings
        return Ingress(settings.gateway_namespace, settings.gateway_name, settings.ingress_domain)

    async def carry_out(self, service: ObservedService, decision: Decision) -> bool:
        """Do what was decided. False where the caches show the result with an event alone."""
        match decision.action:
            case WriteRoute(state):
                await self.write_route(service, state)
                return True
            case CreateVersion(candidate):
                await self.create_version(service, candidate)
                return True
            case ResizeVersion(candidate):
                patch = manifests.resize_patch(candidate)
                answer = await self.cluster.patch(
                    INFERENCE_SERVICE, self.key.namespace, candidate.version, patch
                )
                self.caches[INFERENCE_SERVICE].put(answer)
                return True
            case DeleteVersion(version):
                await self.delete_version(version)
            case DeleteRoute():
                await self.cluster.delete(HTTP_ROUTE, self.key.namespace, self.key.name)
        return False

    async def write_route(self, service: ObservedService, state: State) -> None:
        """Write weights and state together, at the version that the decision was made from."""
        namespace, name = self.key.namespace, self.key.name
        weights = transitions.weights(service, state)
        body = manifests.http_route(state, weights, service=name, namespace=namespace, ingress=self.ingress)
        store = self.caches[HTTP_ROUTE]
        if service.route is not None:
            body["metadata"]["resourceVersion"] = service.route.resource_version
            store.put(await self.cluster.patch(HTTP_ROUTE, namespace, name, body))
            return
        try:
            store.put(await self.cluster.create(HTTP_ROUTE, namespace, body))
        except AlreadyExistsError as error:
            store.put(await self.cluster.get(HTTP_ROUTE, namespace, name))
            raise ConflictError(error.status, error.reason, error.message) from None

    async def create_version(self, service: ObservedService, candidate: Candidate) -> None:
        """Create the InferenceService; one that KServe refuses for good is rolled back with KServe's sentence."""
        body = manifests.inference_service(
            candidate,
            service=self.key.name,
            namespace=self.key.namespace,
            model_format=self.settings.serving_runtime,
        )
        try:
            answer = await self.cluster.create(INFERENCE_SERVICE, self.key.namespace, body)
        except AlreadyExistsError:
            answer = await self.cluster.get(INFERENCE_SERVICE, self.key.namespace, candidate.version)
            if not is_version(answer, self.key.name):
                taken = f'InferenceService "{candidate.version}" exists and was not made by this operator'
                await self.refuse(service, candidate, InvalidError(409, "AlreadyExists", taken))
                return
        except InvalidError as error:
            await self.refuse(service, candidate, error)
            return
        self.caches[INFERENCE_SERVICE].put(answer)

    async def refuse(self, service: ObservedService, candidate: Candidate, error: InvalidError) -> None:
        """Another try would end the same way: a canary is rolled back. Raises `error` where it is the stable version."""
        state = service.state or State()
        if candidate.version != state.canary:
            raise error
        decision = roll_back(service, state, error.message, self.now)
        if isinstance(decision.action, WriteRoute):
            await self.write_route(service, decision.action.state)
            await self.tell(decision)

    async def delete_version(self, version: Version) -> None:
        """Delete exactly this InferenceService."""
        try:
            await self.cluster.delete(
                INFERENCE_SERVICE, self.key.namespace, version.name, uid=version.uid or None
            )
        except NotFoundError:
            logger.debug("%s: %s is gone already", self.key, version.name)

    async def tell(self, decision: Decision) -> None:
        """Count and tell what has been done: Events come after the write that they are about."""
        if decision.rolled_back and self.metrics is not None:
            self.metrics.canary_rollbacks.inc()
        for notice in decision.notices:
            await tell(self.cluster, self.key.namespace, notice, self.now)

    def measure(self, service: ObservedService) -> None:
        """The gauges of the service, from the route as it is."""
        if self.metrics is None:
            return
        if service.route is None or service.state is None:
            self.metrics.forget_rollout(self.key.namespace, self.key.name)
            return
        canary = service.state.canary
        weight = service.route.weight(canary) / 100 if canary and service.route.confirmed else 0.0
        self.metrics.set_rollout(self.key.namespace, self.key.name, weight, service.state.phase.value)
