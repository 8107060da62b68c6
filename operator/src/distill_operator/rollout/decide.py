"""What a service needs next: an ordered table of small checks, of which the first that answers wins.

Pure: the observed service and the time in, one Decision out. Called by `reconcile` until nothing is left to do.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from distill_api.status import RolloutPhase
from distill_operator.rollout import rules, transitions
from distill_operator.rollout.decision import Decision
from distill_operator.rollout.facts import strays
from distill_operator.rollout.model import ObservedService, State
from distill_operator.rollout.times import left

Check = Callable[[ObservedService, State, datetime], Decision | None]

BEFORE: Final = (rules.foreign_route, rules.nothing_left, rules.recover)
"""Checks that do not need a state."""

TABLE: Final[tuple[Check, ...]] = (
    rules.withdrawn,
    rules.superseded,
    rules.late,
    rules.newest_first,
    rules.stable_gone,
    rules.canary_not_ready,
    rules.overdue,
    rules.drifted,
    rules.canary_missing,
    rules.canary_ready,
    rules.taken,
    rules.held,
    rules.proven,
    rules.resized,
    rules.out_of_route,
    rules.no_longer_refused,
)
"""The rules, in order."""


def decide(service: ObservedService, now: datetime) -> Decision:
    """The next thing to do for the service."""
    for check in BEFORE:
        decision = check(service, now)
        if decision is not None:
            return decision
    state = service.state or State()
    for rule in TABLE:
        decision = rule(service, state, now)
        if decision is not None:
            return decision
    return Decision("Settled", wait=next_timer(service, state, now))


def next_timer(service: ObservedService, state: State, now: datetime) -> float | None:
    """Seconds until a rule may answer without any event."""
    timers: list[float] = []
    plan = transitions.plan_of(service, state.canary)
    if plan and state.since:
        spans = {
            RolloutPhase.DEPLOYING: plan.progress_deadline,
            RolloutPhase.HOLDING: transitions.step_of(state, plan).hold,
            RolloutPhase.PROMOTING: rules.DRAIN_SECONDS,
        }
        if state.phase in spans:
            timers.append(left(state.since, spans[state.phase], now))
    if state.changed and strays(service, state):
        timers.append(left(state.changed, rules.DRAIN_SECONDS, now))
    ahead = [timer for timer in timers if timer > 0]
    return min(ahead, default=None)
