"""Whatever happens in whatever order: what must hold in every version of the route.

A small world stands for KServe and the gateway: it keeps objects and applies decisions, and hypothesis plays jobs,
pods, the gateway, people and the clock.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from distill_api.status import RolloutPhase as Phase
from distill_operator.rollout import state as text
from distill_operator.rollout import transitions
from distill_operator.rollout.decide import decide
from distill_operator.rollout.decision import (
    CreateVersion,
    DeleteRoute,
    DeleteVersion,
    ResizeVersion,
    WriteRoute,
)
from distill_operator.rollout.model import Candidate, ObservedService, Plan, Route, State, Step, Version

PLAN = Plan((Step(10, 60), Step(50, 120)), progress_deadline=300)
NUMBERS = st.integers(min_value=0, max_value=7)


class World(RuleBasedStateMachine):
    """A namespace with one service."""

    def __init__(self):
        super().__init__()
        self.now = datetime(2026, 3, 1, tzinfo=UTC)
        self.jobs: dict[str, Candidate] = {}
        self.versions: dict[str, Version] = {}
        self.route: Route | None = None
        self.state_text: str | None = None
        self.confirmed_at: datetime | None = None
        self.ended: set[str] = set()
        self.used: set[int] = set()

        self.gateway_up = True
        self.writes_to_live = 20
        self.settled = True

    # What happens around the operator.

    @initialize(served=st.booleans())
    def begins(self, served):
        """Half of all histories begin with a version that is served."""
        if served:
            self.train(0, 0)
            self.canary_gets_ready()

    def train(self, number, content):
        self.used.add(number)
        uid = f"uid-{number}"
        self.jobs[uid] = Candidate(
            job=f"job-{number}",
            uid=uid,
            created=f"2026-02-0{number // 2 + 1}T00:00:00Z",
            digest=f"sha256:{content}",
            uri=f"pvc://models/{content}",
            version=f"v{content}",
            plan=PLAN,
        )
        self.reconcile()

    @rule(number=NUMBERS, content=st.integers(min_value=0, max_value=4))
    def job_is_trained(self, number, content):
        if number not in self.used:
            self.train(number, content)

    @precondition(lambda self: self.state.canary in self.versions)
    @rule()
    def canary_gets_ready(self):
        name = self.state.canary
        self.versions[name] = replace(self.versions[name], says_ready=True, ready_pods=1)
        self.reconcile()

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def job_is_deleted(self, data):
        del self.jobs[data.draw(st.sampled_from(sorted(self.jobs)))]
        self.reconcile()

    @rule()
    def statuses_of_jobs_are_written(self):
        told = {ending.uid for ending in self.state.endings}
        self.jobs = {uid: replace(c, ended=c.ended or uid in told) for uid, c in self.jobs.items()}
        self.reconcile()

    @precondition(lambda self: self.versions)
    @rule(data=st.data(), ready=st.sampled_from([True, True, False]))
    def pods_change(self, data, ready):
        name = data.draw(st.sampled_from(sorted(self.versions)))
        self.versions[name] = replace(self.versions[name], says_ready=ready, ready_pods=int(ready))
        self.reconcile()

    @rule(up=st.booleans())
    def gateway_goes_or_comes(self, up):
        self.gateway_up = up
        self.reconcile()

    @rule(writes=st.integers(min_value=0, max_value=3))
    def operator_will_be_killed(self, writes):
        """At the next event it does so many writes and dies; the event after that finds a new one."""
        self.writes_to_live = writes

    @precondition(lambda self: self.state.phase is Phase.HOLDING)
    @rule(seconds=st.integers(min_value=1, max_value=130))
    def a_step_is_held(self, seconds):
        self.now += timedelta(seconds=seconds)
        self.reconcile()

    @rule(seconds=st.sampled_from([1, 9, 10, 59, 60, 120, 300]))
    def time_passes(self, seconds):
        self.now += timedelta(seconds=seconds)
        self.reconcile()

    @precondition(lambda self: self.route and len(self.route.weights) > 1)
    @rule()
    def somebody_edits_the_weights(self):
        names = [name for name, _ in self.route.weights]
        self.write(self.state_text, tuple(zip(names, (1, 99), strict=True)))
        self.reconcile()

    @precondition(lambda self: self.versions)
    @rule(data=st.data())
    def somebody_deletes_a_version(self, data):
        del self.versions[data.draw(st.sampled_from(sorted(self.versions)))]
        self.reconcile()

    @precondition(lambda self: self.route and not self.state.endings)
    @rule()
    def somebody_spoils_the_annotation(self):
        self.state_text = "{"
        self.reconcile()

    # The operator: a pass that can end after any write, since nothing is remembered between two.

    def reconcile(self):
        self.settled = False
        alive, self.writes_to_live = self.writes_to_live, 20
        for _ in range(alive):
            self.gateway()
            seen = self.observe()
            decision = decide(seen, self.now)
            self.settled = decision.action is None
            if self.settled:
                assert decision.wait is None or decision.wait > 0
                return
            self.apply(seen, decision.action)
        assert alive < 20, f"no end of changes: {decision}"

    def gateway(self):
        """A gateway that is up takes every route at once."""
        if self.gateway_up and self.route and not self.route.confirmed:
            self.route = replace(self.route, confirmed=True)
            self.confirmed_at = self.now

    @property
    def state(self):
        return text.decode(self.state_text) or State()

    def observe(self):
        return ObservedService(
            namespace="team-a",
            name="digits",
            route=self.route,
            state=text.decode(self.state_text),
            versions=tuple(self.versions.values()),
            candidates=tuple(sorted(self.jobs.values(), key=lambda candidate: candidate.order)),
            jobs=frozenset(self.jobs),
        )

    def apply(self, seen, action):
        match action:
            case WriteRoute(state):
                self.check_step(seen, state)
                self.check_canary(seen, state)
                self.write(text.encode(state), transitions.weights(seen, state))
            case CreateVersion(candidate):
                assert candidate.version not in self.versions
                self.versions[candidate.version] = Version(
                    name=candidate.version,
                    uid="x",
                    digest=candidate.digest,
                    order=candidate.order,
                    plan=candidate.plan,
                    memory=candidate.memory,
                    cpu=candidate.cpu,
                )
            case DeleteVersion(version):
                assert self.route.weight(version.name) == 0
                assert self.route.confirmed or not self.route.weights
                del self.versions[version.name]
            case DeleteRoute():
                assert not self.versions
                self.route = self.state_text = None
            case ResizeVersion():
                raise AssertionError("nobody asked for another size")

    def write(self, annotation, weights):
        moved = self.route is None or self.route.weights != weights
        confirmed = bool(self.route and self.route.confirmed) and not moved
        self.state_text = annotation
        self.route = Route("1", weights, confirmed=confirmed)
        if moved:
            self.confirmed_at = None

    # What must hold at each write.

    def check_step(self, seen, state):
        """A step is held in full, from when the gateway took it, as long as there is something to compare with."""
        before = seen.state
        same = before and before.canary == state.canary and before.phase is Phase.HOLDING and state.stable
        further = same and (state.phase is Phase.PROMOTING or state.step > before.step)
        if further:
            held = (self.now - self.confirmed_at).total_seconds()
            assert held >= PLAN.steps[before.step].hold

    def check_canary(self, seen, state):
        """What was rolled back or superseded is not tried again, and no ending is forgotten too early."""
        if dict(transitions.weights(seen, state)).get(state.canary):
            assert self.versions[state.canary].ready
        before = seen.state.canary if seen.state else None
        if state.canary and state.canary != before:
            open_jobs = [
                c for c in self.jobs.values() if c.version == state.canary and c.uid not in self.ended
            ]
            assert open_jobs
        self.ended |= {ending.uid for ending in state.endings}

    @invariant()
    def weights_are_whole(self):
        if self.route and self.route.weights:
            assert sum(weight for _, weight in self.route.weights) == 100
            assert all(0 <= weight <= 100 for _, weight in self.route.weights)

    @invariant()
    def only_ready_canaries_are_asked(self):
        """Unless the operator was killed before it could take the share away."""
        state = text.decode(self.state_text)
        if self.settled and self.route and state and state.canary and self.route.weight(state.canary):
            assert self.versions[state.canary].ready

    @invariant()
    def only_stable_and_canary_are_asked(self):
        state = text.decode(self.state_text)
        if self.route and state:
            assert {name for name, _ in self.route.weights} <= {state.stable, state.canary}
            assert state.stable is None or state.stable != state.canary

    @invariant()
    def the_annotation_is_small(self):
        assert len(self.state_text or "") < 1024


TestWorld = World.TestCase
TestWorld.settings = settings(
    max_examples=50, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
