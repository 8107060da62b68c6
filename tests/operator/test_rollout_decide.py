"""The rules of a rollout as a table: what is observed, and what is to be done."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from distill_api.status import RolloutPhase as Phase
from distill_operator.rollout import transitions
from distill_operator.rollout.decide import BEFORE, TABLE, decide
from distill_operator.rollout.decision import (
    CreateVersion,
    DeleteRoute,
    DeleteVersion,
    ResizeVersion,
    WriteRoute,
)
from distill_operator.rollout.model import (
    Candidate,
    Ending,
    ObservedService,
    Plan,
    Route,
    State,
    Step,
    Version,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLAN = Plan((Step(25, 180), Step(50, 60)), progress_deadline=600)


def ago(seconds):
    return NOW - timedelta(seconds=seconds)


def job(number, **changes):
    """The candidate of job `digits-<number>`, whose version is `digits-<number>…`."""
    candidate = Candidate(
        job=f"digits-{number}",
        uid=f"uid-{number}",
        created=f"2026-03-01T0{number}:00:00Z",
        digest=f"sha256:{number}",
        uri=f"pvc://models/digits/versions/{number}",
        version=f"v{number}",
        plan=PLAN,
    )
    return replace(candidate, **changes)


def version(number, *, pods=1, **changes):
    """The InferenceService of that job: Ready where it has pods."""
    candidate = job(number)
    made = Version(
        name=candidate.version,
        uid=f"isvc-{number}",
        digest=candidate.digest,
        order=candidate.order,
        plan=PLAN,
        says_ready=pods > 0,
        ready_pods=pods,
        memory=candidate.memory,
        cpu=candidate.cpu,
    )
    return replace(made, **changes)


def service(state=None, weights=None, *, versions=(), jobs=(), confirmed=True, **route):
    """A service as observed; the route's weights are the state's unless given otherwise."""
    seen = ObservedService(
        namespace="team-a",
        name="digits",
        state=state,
        versions=tuple(versions),
        candidates=tuple(sorted(jobs, key=lambda candidate: candidate.order)),
        jobs=frozenset(candidate.uid for candidate in jobs),
    )
    if state is None and weights is None:
        return seen
    split = transitions.weights(seen, state) if weights is None else weights
    return replace(seen, route=Route("7", split, confirmed=confirmed, **route))


STABLE = State(stable="v1", phase=Phase.PROMOTED, since=ago(9000), changed=ago(9000))
DEPLOYING = State(stable="v1", canary="v2", phase=Phase.DEPLOYING, since=ago(30), changed=ago(9000))
HOLDING = State(stable="v1", canary="v2", phase=Phase.HOLDING, step=0, since=ago(30), changed=ago(30))
PROMOTING = State(stable="v1", canary="v2", phase=Phase.PROMOTING, step=1, since=ago(4), changed=ago(4))
FIRST = State(canary="v1", phase=Phase.DEPLOYING, since=ago(30))
BOTH = (version(1), version(2))


# Each row: name of the rule's answer, what is observed, and what the answer must be.
CASES = {
    "a foreign route is left alone": (
        "RouteNotOurs",
        service(STABLE, ours=False, jobs=[job(1)], versions=[version(1)]),
        None,
    ),
    "nothing is there": ("NothingLeft", service(), None),
    "a route without versions and jobs goes": ("NothingLeft", service(STABLE), DeleteRoute()),
    "a job that was superseded asks for nothing": (
        "NothingToServe",
        service(jobs=[job(1, ended=True)]),
        None,
    ),
    "the first version begins": (
        "RolloutStarted",
        service(jobs=[job(1)]),
        WriteRoute(State(canary="v1", since=NOW)),
    ),
    "the first version gets its InferenceService": (
        "CanaryDeployed",
        service(FIRST, jobs=[job(1)]),
        CreateVersion(job(1)),
    ),
    "the first version is waited for": (
        "Settled",
        service(FIRST, jobs=[job(1)], versions=[version(1, pods=0)]),
        570.0,
    ),
    "the first version is Ready and gets all": (
        "CanaryWeight",
        service(FIRST, jobs=[job(1)], versions=[version(1)]),
        WriteRoute(State(canary="v1", phase=Phase.PROMOTING, changed=NOW)),
    ),
    "the first version settles once the gateway has taken it": (
        "WeightsTaken",
        service(
            State(canary="v1", phase=Phase.PROMOTING, changed=ago(1)), jobs=[job(1)], versions=[version(1)]
        ),
        WriteRoute(State(canary="v1", phase=Phase.PROMOTING, since=NOW, changed=ago(1))),
    ),
    "the first version has everything and is not promoted yet": (
        "Settled",
        service(
            State(canary="v1", phase=Phase.PROMOTING, since=ago(9), changed=ago(11)),
            jobs=[job(1)],
            versions=[version(1)],
        ),
        1.0,
    ),
    "the first version is promoted after a while with everything": (
        "Promoted",
        service(
            State(canary="v1", phase=Phase.PROMOTING, since=ago(10), changed=ago(12)),
            jobs=[job(1)],
            versions=[version(1)],
        ),
        WriteRoute(State(stable="v1", phase=Phase.PROMOTED, since=NOW, changed=ago(12))),
    ),
    "… and not before": (
        "Settled",
        service(
            State(canary="v1", phase=Phase.PROMOTING, changed=ago(1)),
            jobs=[job(1)],
            versions=[version(1)],
            confirmed=False,
        ),
        None,
    ),
    "the first version fails": (
        "RolledBack",
        service(replace(FIRST, since=ago(600)), jobs=[job(1)], versions=[version(1, pods=0)]),
        "nothing is served",
    ),
    "all is well": ("Settled", service(STABLE, jobs=[job(1)], versions=[version(1)]), None),
    "the service outlives its job": ("Settled", service(STABLE, versions=[version(1)]), None),
    "a stable version that is not Ready keeps everything": (
        "Settled",
        service(STABLE, jobs=[job(1)], versions=[version(1, pods=0)]),
        None,
    ),
    "the next version begins without a share": (
        "RolloutStarted",
        service(STABLE, jobs=[job(1), job(2)], versions=[version(1)]),
        WriteRoute(State(stable="v1", canary="v2", since=NOW, changed=ago(9000))),
    ),
    "the same content again is nothing to roll out": (
        "Settled",
        service(STABLE, jobs=[job(1), job(2, version="v1")], versions=[version(1)]),
        None,
    ),
    "an older job's version never follows a newer one's": (
        "Settled",
        service(replace(STABLE, stable="v2"), jobs=[job(1), job(2)], versions=[version(2)]),
        None,
    ),
    "… also when the newer job was deleted": (
        "Settled",
        service(replace(STABLE, stable="v2"), jobs=[job(1)], versions=[version(2)]),
        None,
    ),
    "a job whose rollout ended is not tried again": (
        "Settled",
        service(
            replace(STABLE, endings=(Ending("uid-2", Phase.ROLLED_BACK, "x"),)),
            jobs=[job(1), job(2)],
            versions=[version(1)],
        ),
        None,
    ),
    "the canary is waited for": (
        "Settled",
        service(DEPLOYING, jobs=[job(2)], versions=[version(1), version(2, pods=0)]),
        570.0,
    ),
    "one pod of two is not enough for a share": (
        "Settled",
        service(DEPLOYING, jobs=[job(2, replicas=2)], versions=[version(1), version(2, replicas=2)]),
        570.0,
    ),
    "KServe's Ready without a Ready pod is not enough": (
        "Settled",
        service(DEPLOYING, jobs=[job(2)], versions=[version(1), version(2, pods=0, says_ready=True)]),
        570.0,
    ),
    "the canary is Ready and gets its first share": (
        "CanaryWeight",
        service(DEPLOYING, jobs=[job(2)], versions=BOTH),
        WriteRoute(replace(DEPLOYING, phase=Phase.HOLDING, since=None, changed=NOW)),
    ),
    "the canary is late": (
        "RolledBack",
        service(
            replace(DEPLOYING, since=ago(600)),
            jobs=[job(2)],
            versions=[version(1), version(2, pods=0, trouble="container x was OOMKilled")],
        ),
        "it was not Ready after 10m (serving.canary.progressDeadline) (container x was OOMKilled); v1 gets 100%",
    ),
    "the canary's InferenceService was deleted": (
        "CanaryNotReady",
        service(HOLDING, jobs=[job(2)], versions=[version(1)], weights=(("v1", 75), ("v2", 25))),
        WriteRoute(replace(DEPLOYING, since=NOW, losses=1, changed=NOW)),
    ),
    "the step begins when the gateway has taken it": (
        "WeightsTaken",
        service(replace(HOLDING, since=None), jobs=[job(2)], versions=BOTH),
        WriteRoute(replace(HOLDING, since=NOW)),
    ),
    "… and not before that": (
        "Settled",
        service(replace(HOLDING, since=None), jobs=[job(2)], versions=BOTH, confirmed=False),
        None,
    ),
    "a step is held": ("Settled", service(HOLDING, jobs=[job(2)], versions=BOTH), 150.0),
    "a step is not over while the gateway has not taken it": (
        "Settled",
        service(replace(HOLDING, since=ago(180)), jobs=[job(2)], versions=BOTH, confirmed=False),
        None,
    ),
    "the next step": (
        "CanaryWeight",
        service(replace(HOLDING, since=ago(180)), jobs=[job(2)], versions=BOTH),
        WriteRoute(replace(HOLDING, step=1, since=None, changed=NOW)),
    ),
    "all requests after the last step": (
        "CanaryWeight",
        service(replace(HOLDING, step=1, since=ago(60)), jobs=[job(2)], versions=BOTH),
        WriteRoute(replace(HOLDING, step=1, phase=Phase.PROMOTING, since=None, changed=NOW)),
    ),
    "a canary that is no longer Ready gives its share back": (
        "CanaryNotReady",
        service(HOLDING, jobs=[job(2)], versions=[version(1), version(2, pods=0)]),
        WriteRoute(replace(DEPLOYING, since=NOW, losses=1, changed=NOW)),
    ),
    "… also when it has everything already": (
        "CanaryNotReady",
        service(PROMOTING, jobs=[job(2)], versions=[version(1), version(2, pods=0)]),
        WriteRoute(replace(DEPLOYING, step=1, since=NOW, losses=1, changed=NOW)),
    ),
    "… and is rolled back at the third time": (
        "RolledBack",
        service(replace(HOLDING, losses=2), jobs=[job(2)], versions=[version(1), version(2, pods=0)]),
        "v2 was rolled back: it was Ready and lost it 3 times; v1 gets 100%",
    ),
    "its job was deleted in the middle": (
        "RolledBack",
        service(HOLDING, jobs=[job(1)], versions=BOTH),
        "v2 was rolled back: its DistillationJob was deleted or no longer asks for it; v1 gets 100%",
    ),
    "… but a promotion is brought to its end": (
        "Settled",
        service(PROMOTING, jobs=[job(1)], versions=BOTH),
        6.0,
    ),
    "a newer job supersedes a canary": (
        "Superseded",
        service(HOLDING, jobs=[job(2), job(3)], versions=BOTH),
        WriteRoute(
            State(
                stable="v1",
                canary="v3",
                since=NOW,
                changed=NOW,
                endings=(
                    Ending("uid-2", Phase.SUPERSEDED, "digits-3, which is newer, takes its place with v3"),
                ),
            )
        ),
    ),
    "… at the same instant the later name is the newer": (
        "Superseded",
        service(HOLDING, jobs=[job(2), job(3, created=job(2).created)], versions=BOTH),
        WriteRoute(
            State(
                stable="v1",
                canary="v3",
                since=NOW,
                changed=NOW,
                endings=(
                    Ending("uid-2", Phase.SUPERSEDED, "digits-3, which is newer, takes its place with v3"),
                ),
            )
        ),
    ),
    "… but not while it is promoted": (
        "Settled",
        service(PROMOTING, jobs=[job(2), job(3)], versions=BOTH),
        6.0,
    ),
    "a newer job made what is served: the canary ends": (
        "Superseded",
        service(HOLDING, jobs=[job(2), job(3, version="v1")], versions=BOTH),
        WriteRoute(
            State(
                stable="v1",
                phase=Phase.PROMOTED,
                since=NOW,
                changed=NOW,
                endings=(
                    Ending("uid-2", Phase.SUPERSEDED, "digits-3, which is newer, takes its place with v1"),
                ),
            )
        ),
    ),
    "an older job that comes late is superseded": (
        "Superseded",
        service(replace(HOLDING, canary="v3"), jobs=[job(2), job(3)], versions=[version(1), version(3)]),
        WriteRoute(
            replace(
                HOLDING,
                canary="v3",
                endings=(Ending("uid-2", Phase.SUPERSEDED, "a newer job's version v3 is being rolled out"),),
            )
        ),
    ),
    "promoted after a while with everything": (
        "Promoted",
        service(replace(PROMOTING, since=ago(10)), jobs=[job(2)], versions=BOTH),
        WriteRoute(State(stable="v2", phase=Phase.PROMOTED, since=NOW, changed=NOW)),
    ),
    "an old version is not deleted at once": (
        "Settled",
        service(State(stable="v2", phase=Phase.PROMOTED, changed=ago(4)), jobs=[job(2)], versions=BOTH),
        6.0,
    ),
    "… but when its last request is over": (
        "VersionDeleted",
        service(State(stable="v2", phase=Phase.PROMOTED, changed=ago(10)), jobs=[job(2)], versions=BOTH),
        DeleteVersion(version(1)),
    ),
    "… and not while the gateway may still send it any": (
        "Settled",
        service(
            State(stable="v2", phase=Phase.PROMOTED, changed=ago(10)),
            jobs=[job(2)],
            versions=BOTH,
            confirmed=False,
        ),
        None,
    ),
    "weights edited by hand are put back and held anew": (
        "RouteRestored",
        service(HOLDING, (("v1", 0), ("v2", 100)), jobs=[job(2)], versions=BOTH),
        WriteRoute(replace(HOLDING, since=None, changed=NOW)),
    ),
    "a host edited by hand is put back": (
        "RouteRestored",
        service(STABLE, intact=False, jobs=[job(1)], versions=[version(1)]),
        WriteRoute(STABLE),
    ),
    "the annotation was lost in mid-canary: the larger share is the stable one, the canary begins anew": (
        "RolloutStarted",
        service(None, (("v1", 75), ("v2", 25)), jobs=[job(1), job(2)], versions=BOTH),
        WriteRoute(State(stable="v1", canary="v2", since=NOW, changed=NOW)),
    ),
    "the route was deleted: the older Ready version is the stable one": (
        "StateRecovered",
        service(versions=BOTH),
        WriteRoute(State(stable="v1", phase=Phase.PROMOTED, since=NOW, changed=NOW)),
    ),
    "the stable version was deleted by hand": (
        "StableRestored",
        service(STABLE, jobs=[job(1)]),
        CreateVersion(job(1)),
    ),
    "… and nobody knows how to make it again": (
        "StableGone",
        service(STABLE, jobs=[job(2, ended=True)]),
        WriteRoute(replace(STABLE, stable=None, changed=NOW)),
    ),
    "… while the canary answers: it has all": (
        "StableGone",
        service(HOLDING, jobs=[job(2)], versions=[version(2)]),
        WriteRoute(State(canary="v2", phase=Phase.PROMOTING, changed=NOW)),
    ),
    "… while the canary does not answer either": (
        "StableGone",
        service(HOLDING, jobs=[job(2)], versions=[version(2, pods=0)]),
        WriteRoute(State(canary="v2", since=NOW, changed=NOW)),
    ),
    "the job asks for more replicas": (
        "VersionResized",
        service(STABLE, jobs=[job(1, replicas=3)], versions=[version(1)]),
        ResizeVersion(job(1, replicas=3)),
    ),
    "what was refused is there by now": (
        "NoLongerRefused",
        service(
            replace(DEPLOYING, refused="quota"),
            jobs=[job(1), job(2)],
            versions=[version(1), version(2, pods=0)],
        ),
        WriteRoute(DEPLOYING),
    ),
    "what was refused is tried again": (
        "CanaryDeployed",
        service(replace(DEPLOYING, refused="quota"), jobs=[job(1), job(2)], versions=[version(1)]),
        CreateVersion(job(2)),
    ),
    "what was refused until the deadline is rolled back with the refusal": (
        "RolledBack",
        service(
            replace(DEPLOYING, refused="refused: no quota", since=ago(600)),
            jobs=[job(1), job(2)],
            versions=[version(1)],
        ),
        "(refused: no quota)",
    ),
    "the same memory in other words": (
        "Settled",
        service(STABLE, jobs=[job(1, memory="1024Mi")], versions=[version(1, memory="1Gi")]),
        None,
    ),
}


@pytest.mark.parametrize(("reason", "observed", "expected"), CASES.values(), ids=CASES)
def test_decision(reason, observed, expected):
    decision = decide(observed, NOW)
    assert decision.reason == reason
    if isinstance(expected, float) or (expected is None and decision.action is None):
        assert decision.action is None
        assert decision.wait == expected
    elif isinstance(expected, str):
        assert expected in decision.message
        assert isinstance(decision.action, WriteRoute)
        assert decision.action.state.canary is None
        assert decision.rolled_back
    else:
        assert decision.action == expected


def winner(observed):
    """The rule that answers for an observed service, or None."""
    for check in BEFORE:
        if check(observed, NOW):
            return check
    return next((rule for rule in TABLE if rule(observed, observed.state, NOW)), None)


def test_every_rule_has_a_case():
    """A rule that decides no case is dead or untested."""
    assert {winner(observed) for _, observed, _ in CASES.values()} == {*BEFORE, *TABLE, None}


def test_a_rolled_back_job_is_remembered_with_its_reason():
    observed = service(
        HOLDING, jobs=[job(1), job(2)], versions=[version(1)], weights=(("v1", 75), ("v2", 25))
    )
    late = replace(observed, state=replace(DEPLOYING, since=ago(600)))
    ending = decide(late, NOW).action.state.endings[0]
    assert (ending.uid, ending.phase) == ("uid-2", Phase.ROLLED_BACK)
    assert "progressDeadline" in ending.message


def test_endings_that_their_job_says_itself_are_forgotten():
    told = replace(HOLDING, endings=(Ending("uid-9", Phase.SUPERSEDED, "gone job"),), since=ago(180))
    state = decide(service(told, jobs=[job(2)], versions=BOTH), NOW).action.state
    assert state.endings == ()
