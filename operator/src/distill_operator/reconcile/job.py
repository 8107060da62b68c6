"""One pass over one DistillationJob: observe, decide, apply, status, Events. Level-triggered: safe at any time.

A process that dies between any two lines leaves something from which the next pass goes on.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from distill_api.status import ConditionType, DistillationJobStatus, Phase
from distill_operator.decide import decide
from distill_operator.errors import (
    ClusterError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NamespaceTerminatingError,
    NotFoundError,
)
from distill_operator.kinds import DISTILLATION_JOB, EVENT, Key, Object, RequeueAfter
from distill_operator.manifests import event
from distill_operator.observe import Observed
from distill_operator.reconcile.apply import Applier
from distill_operator.reconcile.context import Context
from distill_operator.reconcile.gather import gather
from distill_operator.reconcile.memory import JobMemory
from distill_operator.reconcile.poll import Target
from distill_operator.status import Urgency, changes_of, next_status, told, urgency
from distill_operator.verdict import Case, Verdict, no, yes

logger = logging.getLogger(__name__)
WORDING_INTERVAL = timedelta(seconds=60)
"""A scheduler's counts flap; they are told once a minute."""
YOUNG, YOUNG_INTERVAL = timedelta(seconds=60), timedelta(seconds=3)
"""A training in its first minute is told more often: it may be over in two."""
FINAL = {Phase.SUCCEEDED, Phase.FAILED}
SOON = 0.5


@dataclass(frozen=True)
class _Pass:
    """What one pass works with."""

    context: Context
    key: Key
    raw: Object
    observed: Observed
    memory: JobMemory
    applier: Applier
    now: datetime


async def reconcile_job(context: Context, key: Key, now: datetime) -> RequeueAfter | None:
    """Bring one job a step further. Raises ClusterError where the API server must be asked again."""
    raw = context.caches[DISTILLATION_JOB].get(key.namespace, key.name)
    if raw is None:
        context.forget(key, now)
        return None
    memory = context.memory.of(key.namespace, key.name, raw["metadata"]["uid"])
    observed, plan = gather(raw, context.caches, memory, context.settings, now)
    applier = Applier(context.cluster, context.caches, context.enqueue, observed.owner, plan)
    one = _Pass(context, key, raw, observed, memory, applier, now)
    _poll(one)
    context.account(key, plan, observed.training, now)
    verdict = decide(Case(observed, plan, context.settings, now))
    try:
        return await _carry_out(one, verdict)
    except (NamespaceTerminatingError, NotFoundError):
        return None  # the job goes, or is gone
    except ConflictError:
        return RequeueAfter(SOON)  # somebody changed the object since it was read: the event is on its way


async def _carry_out(one: _Pass, verdict: Verdict) -> RequeueAfter | None:
    refusal: ClusterError | None = None
    try:
        for action in verdict.actions:
            await one.applier.apply(action)
    except (InvalidError, ForbiddenError) as error:
        if isinstance(error, NamespaceTerminatingError):
            raise
        refusal, verdict = error, _refused(error)
    wait = await _write_status(one, verdict)
    if refusal is not None and isinstance(refusal, ForbiddenError):
        raise refusal
    for action in verdict.cleanup:
        await one.applier.apply(action)
    waits = [seconds for seconds in (wait, verdict.requeue) if seconds is not None]
    return RequeueAfter(max(min(waits), 0.05)) if waits else None


def _refused(error: ClusterError) -> Verdict:
    """The API server does not take what has to be made: said, and tried again where that may help."""
    if isinstance(error, InvalidError):
        message = f"the API server refused the job's objects: {error.message}"
        return Verdict(
            said=(
                no(ConditionType.RUNNING, "Refused", message),
                yes(ConditionType.FAILED, "Refused", message),
            )
        )
    message = f"the operator may not create the job's objects: {error.message}"
    return Verdict(said=(no(ConditionType.RUNNING, "Forbidden", message, sticky=True),))


def _poll(one: _Pass) -> None:
    """Ask the running pod for its progress, and nobody else."""
    training = one.observed.training
    pod = training.running_pod if training and not training.ended else None
    if pod is not None and pod.ip and one.observed.status.phase not in FINAL:
        one.context.poller.watch(one.key, Target(pod.uid, pod.ip))
    else:
        one.context.poller.unwatch(one.key)


async def _write_status(one: _Pass, verdict: Verdict) -> float | None:
    """Write the status if it differs and its time has come; the seconds until then where it has not."""
    before = one.observed.status
    after = next_status(one.observed, verdict, one.now)
    wait = _time_to_wait(one, urgency(before, after))
    if wait is not None and wait > 0:
        return wait
    if wait == 0:
        present = before.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)
        patch = changes_of(present, after.wire())
        answer = await one.context.cluster.patch_status(DISTILLATION_JOB, one.raw, patch)
        one.context.caches[DISTILLATION_JOB].put(answer)
        one.memory.last_write = one.now
        await _tell(one, before, after)
        one.context.measure(before, after, one.now)
    task = one.observed.spec.task.value if one.observed.spec else ""
    one.context.metrics.set_phase(one.key.namespace, one.key.name, task, (after.phase or Phase.PENDING).value)
    return None


def _time_to_wait(one: _Pass, need: Urgency) -> float | None:
    """Seconds until the status may be written; None where it need not be."""
    if need is Urgency.NONE:
        return None
    last = one.memory.last_write
    if need is Urgency.NOW or last is None:
        return 0.0
    # A rollout's sentences change as its pods start: news, where a scheduler's counts are none.
    trained = one.observed.status.phase in FINAL
    interval = WORDING_INTERVAL if need is Urgency.WORDING and not trained else _progress_interval(one)
    return max(0.0, (last + interval - one.now).total_seconds())


def _progress_interval(one: _Pass) -> timedelta:
    usual = timedelta(seconds=one.context.settings.status_interval)
    training = one.observed.training
    pod = training.running_pod if training else None
    young = pod is not None and pod.started is not None and one.now - pod.started < YOUNG
    return min(usual, YOUNG_INTERVAL) if young else usual


async def _tell(one: _Pass, before: DistillationJobStatus, after: DistillationJobStatus) -> None:
    """Events come after the status they tell of. One that is lost is no reason to stop."""
    for place, story in enumerate(told(before, after)):
        moment = one.now + timedelta(microseconds=place)
        body = event(one.observed.owner, story.kind, story.reason, story.message, moment)
        try:
            await one.context.cluster.create(EVENT, one.key.namespace, body)
        except ClusterError as error:
            logger.info("%s: Event %s was not written: %s", one.key, story.reason, error)
