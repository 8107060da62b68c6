"""From one state of a rollout to the next, and the weights that each state means. Used by `decide` alone.

Every function returns a new State; the caller writes it together with its weights, in one request, so that no reader
ever sees one without the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from distill_api.status import RolloutPhase
from distill_operator.rollout.model import Candidate, Ending, ObservedService, Plan, State, Step, Weights


def plan_of(service: ObservedService, version: str | None) -> Plan | None:
    """How the version takes over: as its InferenceService keeps it, or as its job says before that is there."""
    known = service.version(version)
    if known is not None:
        return known.plan
    return next((candidate.plan for candidate in service.candidates_of(version)), None)


def step_of(state: State, plan: Plan) -> Step:
    """The canary's step; the last one where an edited annotation points behind it."""
    return plan.steps[max(0, min(state.step, len(plan.steps) - 1))]


def weights(service: ObservedService, state: State) -> Weights:
    """Who gets how many percent in this state: 100 in all, or nobody where no version was ever Ready.

    The canary's Service is named only once it has a share: a backend that does not exist spoils the route.
    """
    stable, canary = state.stable, state.canary
    plan = plan_of(service, canary)
    if canary and state.phase is RolloutPhase.PROMOTING:
        return ((stable, 0), (canary, 100)) if stable else ((canary, 100),)
    if canary and stable and plan and state.phase is RolloutPhase.HOLDING:
        share = step_of(state, plan).weight
        return ((stable, 100 - share), (canary, share))
    return ((stable, 100),) if stable else ()


def settle(service: ObservedService, state: State, now: datetime) -> State:
    """`state`, with the time of the change where the backends change, and without endings that nobody needs."""
    before = service.route.weights if service.route else ()
    moved = weights(service, state) != before
    told = {candidate.uid for candidate in service.candidates if candidate.ended}
    endings = tuple(end for end in state.endings if end.uid in service.jobs and end.uid not in told)
    return replace(state, changed=now if moved else state.changed, endings=endings)


def begin(state: State, candidate: Candidate, now: datetime) -> State:
    """The candidate becomes the canary, at its first step and with nothing inherited from the one before."""
    return State(
        stable=state.stable,
        canary=candidate.version,
        phase=RolloutPhase.DEPLOYING,
        since=now,
        changed=state.changed,
        endings=state.endings,
    )


def back_to_stable(state: State, now: datetime) -> State:
    """No canary any more: the stable version gets everything."""
    return State(
        stable=state.stable,
        phase=RolloutPhase.ROLLED_BACK,
        since=now,
        changed=state.changed,
        endings=state.endings,
    )


def end(state: State, losers: Iterable[Candidate], phase: RolloutPhase, message: str) -> State:
    """Remember how the rollout of these jobs ended."""
    endings = tuple(Ending(candidate.uid, phase, message) for candidate in losers)
    return replace(state, endings=state.endings + endings)


def lose_ready(state: State, now: datetime) -> State:
    """The canary gives its share back until it is Ready again; then its step is held anew, in full."""
    return replace(state, phase=RolloutPhase.DEPLOYING, since=now, losses=state.losses + 1)


def lose_stable(service: ObservedService, state: State, now: datetime) -> State:
    """Nothing is left to compare with: a canary that answers gets everything, one that does not is waited for."""
    alone = replace(state, stable=None)
    if state.canary is None or state.phase is RolloutPhase.DEPLOYING:
        return alone
    canary = service.version(state.canary)
    ready = canary is not None and canary.ready
    return take_share(alone) if ready else replace(alone, phase=RolloutPhase.DEPLOYING, since=now)


def take_share(state: State) -> State:
    """The canary is Ready: it gets its step's share, or everything where nothing is served yet."""
    phase = RolloutPhase.HOLDING if state.stable else RolloutPhase.PROMOTING
    return replace(state, phase=phase, since=None)


def advance(state: State, plan: Plan) -> State:
    """The next step, or all requests after the last."""
    if state.step + 1 < len(plan.steps):
        return replace(state, step=state.step + 1, since=None)
    return replace(state, phase=RolloutPhase.PROMOTING, since=None)


def promote(state: State, now: datetime) -> State:
    """The canary is the stable version."""
    return State(
        stable=state.canary,
        phase=RolloutPhase.PROMOTED,
        since=now,
        changed=state.changed,
        endings=state.endings,
    )
