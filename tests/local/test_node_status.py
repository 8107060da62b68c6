"""What the node says of a pod: phases, conditions, restarts, probes' verdicts, refusals. Pure."""

from datetime import UTC, datetime

import pytest

from distill_local.node.model import Running, Terminated, View, Waiting
from distill_local.node.probes import Count
from distill_local.node.recover import first_views
from distill_local.node.refuse import refusal
from distill_local.node.restarts import Backoff, wanted
from distill_local.node.status import PodFacts, phase, pod_status

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RUNNING, WAITING = Running(AT), Waiting("ContainerCreating")


def ended(code):
    return Terminated(code, "Completed" if code == 0 else "Error", AT, AT)


def view(state, **fields):
    return View("main", "image", state, **fields)


@pytest.mark.parametrize(
    ("policy", "states", "expected"),
    [
        ("Never", [WAITING], "Pending"),
        ("Never", [RUNNING], "Running"),
        ("Never", [RUNNING, WAITING], "Pending"),
        ("Never", [RUNNING, ended(1)], "Running"),
        ("Never", [ended(0), ended(0)], "Succeeded"),
        ("Never", [ended(0), ended(1)], "Failed"),
        ("OnFailure", [ended(1)], "Running"),
        ("OnFailure", [ended(0)], "Succeeded"),
        ("Always", [ended(0)], "Running"),
    ],
)
def test_phase(policy, states, expected):
    assert phase(policy, [view(state) for state in states], initialized=True, ended=False) == expected


def test_phase_while_initializing_and_while_backing_off():
    assert phase("Always", [view(WAITING)], initialized=False, ended=False) == "Pending"
    backing_off = view(Waiting("CrashLoopBackOff"), last=ended(1))
    assert phase("Always", [backing_off], initialized=True, ended=False) == "Running"


@pytest.mark.parametrize(
    ("states", "expected"), [([ended(0)], "Succeeded"), ([ended(143)], "Failed"), ([WAITING], "Failed")]
)
def test_a_pod_of_which_nothing_will_run_has_a_terminal_phase(states, expected):
    """The Job controller waits for it before it makes a replacement."""
    assert phase("Always", [view(state) for state in states], initialized=True, ended=True) == expected


def pod(**spec):
    return {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "main", "image": "image"}]} | spec}


def conditions(status):
    return {c["type"]: c["status"] for c in status["conditions"]}


def test_status_of_a_pod_that_runs():
    facts = PodFacts("10.245.0.2", "10.245.16.2", AT)
    status = pod_status(pod(), {"main": view(RUNNING, started=True)}, facts, AT)
    assert status["phase"] == "Running"
    assert status["containerStatuses"][0]["state"] == {"running": {"startedAt": "2026-01-02T03:04:05Z"}}
    assert conditions(status) == {
        "PodReadyToStartContainers": "True",
        "Initialized": "True",
        "ContainersReady": "False",
        "Ready": "False",
        "PodScheduled": "True",
    }
    ready = pod_status(pod(), {"main": view(RUNNING, started=True, ready=True)}, facts, AT)
    assert conditions(ready)["Ready"] == "True"


def test_readiness_gates_hold_back_readiness_alone():
    gated = pod(readinessGates=[{"conditionType": "example.com/open"}])
    status = pod_status(gated, {"main": view(RUNNING, ready=True)}, PodFacts("h", "a", AT), AT)
    assert (conditions(status)["ContainersReady"], conditions(status)["Ready"]) == ("True", "False")
    gated["status"] = {"conditions": [{"type": "example.com/open", "status": "True"}]}
    status = pod_status(gated, {"main": view(RUNNING, ready=True)}, PodFacts("h", "a", AT), AT)
    assert conditions(status)["Ready"] == "True"


def test_transition_times_stay_while_a_condition_stays():
    before = pod() | {
        "status": {
            "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": "2020-01-01T00:00:00Z"}]
        }
    }
    status = pod_status(before, {"main": view(RUNNING)}, PodFacts("h", "a", AT), AT)
    times = {c["type"]: c["lastTransitionTime"] for c in status["conditions"]}
    assert times["Ready"] == "2020-01-01T00:00:00Z"
    assert times["Initialized"] == "2026-01-02T03:04:05Z"


@pytest.mark.parametrize(
    ("policy", "code", "again"),
    [
        ("Always", 0, True),
        ("Always", 1, True),
        ("OnFailure", 0, False),
        ("OnFailure", 1, True),
        ("Never", 1, False),
    ],
)
def test_restart_policy(policy, code, again):
    assert wanted(policy, ended(code)) is again


def test_backoff_doubles_up_to_five_minutes_and_forgives():
    backoff, delays = Backoff(), []
    for _ in range(8):
        delays.append(backoff.delay)
        backoff = backoff.after(1.0)
    assert delays == [0, 10, 20, 40, 80, 160, 300, 300]
    assert backoff.after(600.0).delay == 10


def test_verdicts_of_probes():
    count, seen = Count(), []
    for ok in (True, False, False, True, True, False, False, False):
        count = count.after(ok=ok, success_threshold=2, failure_threshold=3)
        seen.append(count.verdict)
    assert seen == [None, None, None, None, True, True, True, False]


def test_a_restarted_node_takes_running_containers_for_killed():
    running = {"name": "main", "state": {"running": {"startedAt": "2026-01-02T03:04:05Z"}}, "restartCount": 2}
    found = first_views(pod() | {"status": {"containerStatuses": [running]}})["main"]
    assert isinstance(found.state, Terminated)
    assert (found.state.exit_code, found.restarts) == (137, 2)
    assert "restarted" in found.state.message
    assert first_views(pod())["main"].state == Waiting("ContainerCreating")


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({"hostNetwork": True}, "spec.hostNetwork"),
        ({"hostPID": True}, "spec.hostPID"),
        (
            {"volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "hostPath": {"path": "/"}}]},
            "spec.volumes[1].hostPath",
        ),
        (
            {"containers": [{"securityContext": {"privileged": True}}]},
            "spec.containers[0].securityContext.privileged",
        ),
        ({"containers": [{"securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}}]}, "capabilities.add"),
        ({"containers": [{"ports": [{"containerPort": 1, "hostPort": 1}]}]}, "hostPort"),
        ({"containers": [{"livenessProbe": {"grpc": {"port": 1}}}]}, "spec.containers[0].livenessProbe.grpc"),
        ({"initContainers": [{"volumeDevices": [{"name": "x"}]}]}, "spec.initContainers[0].volumeDevices"),
    ],
)
def test_refusals_name_the_field(spec, named):
    assert named in refusal(pod(**spec))


def test_what_it_can_run_is_not_refused():
    assert (
        refusal(pod(volumes=[{"name": "a", "emptyDir": {}}, {"name": "b", "projected": {"sources": []}}]))
        is None
    )
