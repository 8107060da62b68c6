"""The rules of a rollout, one small pure check each; `decide` puts them in order.

A check gets the observed service, the remembered state and the time, and answers with a Decision or with None.
"""
# ruff: noqa: ARG001 - all checks have one shape, also those that need no clock

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Final

from distill_api.status import RolloutPhase
from distill_operator.rollout import facts, transitions
from distill_operator.rollout.decision import (
    Action,
    CreateVersion,
    Decision,
    DeleteRoute,
    DeleteVersion,
    Notice,
    ResizeVersion,
    WriteRoute,
)
from distill_operator.rollout.model import Candidate, ObservedService, State
from distill_operator.rollout.quantities import same_quantity
from distill_operator.rollout.times import left, span

DRAIN_SECONDS: Final = 10
"""How long a version outlives its last share of the requests, and has all of them before it is Promoted."""
MAX_LOSSES: Final = 3
"""A canary that was Ready and lost it so often is rolled back."""
SHARING: Final = (RolloutPhase.HOLDING, RolloutPhase.PROMOTING)


def foreign_route(service: ObservedService, now: datetime) -> Decision | None:
    """An HTTPRoute of that name belongs to somebody else: hands off."""
    if service.route is None or service.route.ours:
        return None
    return Decision("RouteNotOurs", message=not_ours(service))


def nothing_left(service: ObservedService, now: datetime) -> Decision | None:
    """No version is there and no job asks for one."""
    if service.versions or service.jobs:
        return None
    return Decision("NothingLeft", DeleteRoute() if service.route else None)


def recover(service: ObservedService, now: datetime) -> Decision | None:
    """The state is lost (the route was deleted or its annotation edited) or was never there: make one."""
    if service.state is not None:
        return None
    state = State(stable=facts.recovered_stable(service))
    if state.stable is not None:
        state = replace(state, phase=RolloutPhase.PROMOTED, since=now)
    first = newest_first(service, state, now)
    if first is None and service.route is None and not service.versions:
        return Decision("NothingToServe")
    return first or Decision("StateRecovered", _write(service, state, now))


def withdrawn(service: ObservedService, state: State, now: datetime) -> Decision | None:
    """The canary's job was deleted, or asks for something else by now, before the promotion began."""
    if (
        not state.canary
        or state.phase is RolloutPhase.PROMOTING
        or facts.owners(service, state, state.canary)
    ):
        return None
    reason = "its DistillationJob was deleted or no longer asks for it"
    return roll_back(service, state, reason, now)


def superseded(service: ObservedService, state: State, now: datetime) -> Decision | None:
    """A newer job's student is to be served while an older one's is a canary: the newer begins at its first step."""
    newest = facts.newest(service, state)
    if not state.canary or state.phase is RolloutPhase.PROMOTING or newest is None:
        return None
    if newest.version == state.canary or newest.order <= service.order(state.canary):
        return None
    idle = replace(transitions.back_to_stable(state, now), phase=RolloutPhase.PROMOTED)
    message = f"{newest.job}, which is newer, takes its place with {newest.version}"
    return _supersede(service, idle, facts.owners(service, state, state.canary), message, now, newest)


def late(service: ObservedService, state: State, now: datetime) -> Decision | None:
    """An older job's student arrives while a newer one's is a canary: it is not served."""
    if not state.canary or state.phase is RolloutPhase.PROMOTING:
        return None
    served = {state.canary, state.stable}
    losers = [
        candidate
        for candidate in service.candidates
        if facts.is_open(state, candidate)
        and candidate.version not in served
        and service.order(state.stable) < candidate.order < service.order(state.canary)
    ]
    message = f"a newer job's version {state.canary} is being rolled out"
    return _supersede(service, state, losers, message, now) if losers else None


def newest_first(service: ObservedService, state: State, now: datetime) -> Decision | None:
    """No canary, and a job newer than the stable version's has a student to be served."""
    newest = facts.newest(service, state)
    if state.canary or newest is None or newest.version == state.stable:
        return None
    if newest.order <= service.order(state.stable):
        return None
    message = f"version {newest.version} is deployed" + (f" beside {state.stable}" if state.stable else "")
    notice = Notice(newest.uid, newest.job, "RolloutStarted", message)
    action = _write(service, transitions.begin(state, newest, now), now)
    return Decision("RolloutStarted", action, message=message, notices=(notice,))


def stable_gone(service: ObservedService, state: State, now: datetime) -> Decision | None:
    """The stable InferenceService was deleted by hand: made again while a job knows how, else the canary has all."""
    if not state.stable or service.version(state.stable) is not None:
        return None
    candidates = service.candidates_of(state.stable)
    if candidates:
        return Decision("StableRestored", CreateVersion(candidates[-1]))
    return Decision("StableGone", _write(service, transitions.lose_stable(service, state, now), now))


def canary_not_ready(service: ObservedService, state: State, now: datetime) -> Decision | None:
    """The canary had a share and is no longer Ready: its share goes back at once."""
    if not state.canary or state.phase not in SHARING or facts.ready(service, state.canary):
        return None
    if state.losses + 1 >= MAX_LOSSES:
        return roll_back(service, state, f"it was Ready and lost it {MAX_LOSSES} times", now)
    action = _write(service, transitions.lose_ready(state, now), now)
    why = facts.trouble(service, state.canary) or "its pods do not answer"
    message = f"{state.canary} is no longer Ready ({why}): its share goes back to {state.stable or 'nobody'}"
    notices = _notices(service, state, "CanaryNotReady", message, warning=True)
    return Decision("CanaryNotReady", action, message=message, notices=notices)


def overdue(service: ObservedService, state: State, now: datetime) -> Decision | None:
    """The canary did not get Ready in time."""
    if not state.canary or state.phase is not RolloutPhase.DEPLOYING or facts.warm(service, state.canary):
        return None
    plan = transitions.plan_of(service, state.canary)
    if plan is None or left(state.since or now, plan.progress_deadline, now) > 0:
        return None
    limit = f"it was not Ready after {span(plan.progress_deadline)} (serving.canary.progressDeadline)"
    return roll_back(service, state, limit, now)


def drifted(service: ObservedService, state: State, now: datetime) -> Decision | None:
    """The route is gone or not as the state says (edited by hand): put it back, and hold the step anew."""
    route = service.route
    if route is not None and route.intact and route.weights == transitions.weights(service, state):
        return None
    if state.phase in SHARING:
        state = replace(state, since=None)
    return Decision("RouteRestored", _write(service, state, now))


def canary_missing(service: ObservedService, state: State, now: datetime) -> Decision | None:
    """The canary has no InferenceService yet, or no longer."""
    if not state.canary or service.version(state.canary) is not None:
        return None
    owners = facts.owners(service, state, state.canary)
    return Decision("CanaryDeployed", CreateVersion(owners[-1])) if owners else None


def canary_ready(service: ObservedService, state: State, now: datetime) -> Decision | None:
    """The canary is Ready: it gets its first share."""
    if not state.canary or state.phase is not RolloutPhase.DEPLOYING or not facts.warm(service, state.canary):
        return None
    return _share(service, transitions.take_share(state), now)


def taken(service: ObservedService, state: State, now: datetime) -> Decision | None:
    """The gateway has taken the weights: from now on the step counts.

    Also for a first version: a gateway acts some seconds after it has said Accepted, and until then it answers 500.
    """
    if state.phase not in SHARING or state.since is not None or not facts.confirmed(service):
        return None
    return Decision("WeightsTaken", _write(service, replace(state, since=now), now))


def held(service: ObservedService, state: State, now: datetime) -> Decision | None:
    """The step has been held for its time: the next one, or all requests."""
    plan = transitions.plan_of(service, state.canary)
    if (
        state.phase is not RolloutPhase.HOLDING
        or plan is None
        or not state.since
        or not facts.confirmed(service)
    ):
        return None
    if left(state.since, transitions.step_of(state, plan).hold, now) > 0:
        return None
    return _share(service, transitions.advance(state, plan), now)


def proven(service: ObservedService, state: State, now: datetime) -> Decision | None:
    """The canary has had all requests for a while and is still Ready."""
    if state.phase is not RolloutPhase.PROMOTING or not state.since or not facts.confirmed(service):
        return None
    return None if left(state.since, DRAIN_SECONDS, now) > 0 else _promoted(service, state, now)


def resized(service: ObservedService, state: State, now: datetime) -> Decision | None:
    """The job asks for other replicas or resources than its version has."""
    for name in (state.stable, state.canary):
        version, owners = service.version(name), service.candidates_of(name)
        if version is None or not owners:
            continue
        wanted = owners[-1]
        same = same_quantity(version.memory, wanted.memory) and same_quantity(version.cpu, wanted.cpu)
        if not same or version.replicas != wanted.replicas:
            return Decision("VersionResized", ResizeVersion(wanted))
    return None


def out_of_route(service: ObservedService, state: State, now: datetime) -> Decision | None:
    """A version that nobody asks any more is deleted, some seconds after its last request."""
    if service.route is None or (service.route.weights and not service.route.confirmed):
        return None
    if state.changed and left(state.changed, DRAIN_SECONDS, now) > 0:
        return None
    for version in facts.strays(service, state):
        return Decision("VersionDeleted", DeleteVersion(version))
    return None


def no_longer_refused(service: ObservedService, state: State, now: datetime) -> Decision | None:
    """What was refused has been taken by now, or nobody asks for it any more."""
    if not state.refused:
        return None
    return Decision("NoLongerRefused", _write(service, replace(state, refused=""), now))


def roll_back(service: ObservedService, state: State, reason: str, now: datetime) -> Decision:
    """Everything back to the stable version, at once; the same job's student is not tried again."""
    canary = state.canary or ""
    trouble = facts.trouble(service, canary) or state.refused
    rest = f"; {state.stable} gets 100%" if state.stable else "; nothing is served"
    message = f"{canary} was rolled back: {reason}" + (f" ({trouble})" if trouble else "") + rest
    losers = facts.owners(service, state, canary)
    ended = transitions.end(state, losers, RolloutPhase.ROLLED_BACK, message)
    action = _write(service, transitions.back_to_stable(ended, now), now)
    return Decision("RolledBack", action, message=message, rolled_back=True)


def _write(service: ObservedService, state: State, now: datetime) -> Action:
    return WriteRoute(transitions.settle(service, state, now))


def _share(service: ObservedService, state: State, now: datetime) -> Decision:
    """The canary's share changes."""
    weight = dict(transitions.weights(service, state)).get(state.canary or "", 0)
    message = f"{state.canary} gets {weight}% of the requests"
    notices = _notices(service, state, "CanaryWeight", message)
    return Decision("CanaryWeight", _write(service, state, now), message=message, notices=notices)


def _promoted(service: ObservedService, state: State, now: datetime) -> Decision:
    message = f"{state.canary} gets all requests" + (f" instead of {state.stable}" if state.stable else "")
    return Decision("Promoted", _write(service, transitions.promote(state, now), now), message=message)


def _supersede(
    service: ObservedService,
    state: State,
    losers: Iterable[Candidate],
    message: str,
    now: datetime,
    successor: Candidate | None = None,
) -> Decision:
    losers = tuple(losers)
    state = transitions.end(state, losers, RolloutPhase.SUPERSEDED, message)
    if successor and successor.version != state.stable:
        state = transitions.begin(state, successor, now)
    return Decision("Superseded", _write(service, state, now), message=message)


def _notices(
    service: ObservedService, state: State, reason: str, message: str, *, warning: bool = False
) -> tuple[Notice, ...]:
    owners = facts.owners(service, state, state.canary)
    return tuple(Notice(owner.uid, owner.job, reason, message, warning) for owner in owners)


def not_ours(service: ObservedService) -> str:
    """The sentence for a route that somebody else made."""
    return (
        f'HTTPRoute "{service.name}" exists and was not made by this operator; delete it, or set '
        "serving.kserve.inferenceService to another name"
    )
