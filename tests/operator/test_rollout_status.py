"""What a job's status says, from the objects as Kubernetes, KServe and the gateway write them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from distill_api.status import RolloutPhase as Phase
from distill_operator.rollout import manifests
from distill_operator.rollout.failure import trouble
from distill_operator.rollout.manifests import Ingress
from distill_operator.rollout.model import Ending, State
from distill_operator.rollout.observe import candidate_of, observe, route_of
from distill_operator.rollout.status import serving_status

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
INGRESS = Ingress("kserve", "gateway", "example.com")


def digest_of(number):
    return f"sha256:{number}" + "0" * 63


def name_of(number):
    return f"digits-{number}0000000"


def job(number=1, **changes):
    """DistillationJob `digits-<number>`, trained and through its gate."""
    version = f"pvc://models/digits/versions/{number}00000000000"
    return {
        "metadata": {
            "name": f"digits-{number}",
            "namespace": "team-a",
            "uid": f"uid-{number}",
            "creationTimestamp": f"2026-03-01T0{number}:00:00Z",
        }
        | changes.pop("metadata", {}),
        "spec": {"gate": {"minValue": 0.9}, "serving": {"kserve": {"inferenceService": "digits"}}},
        "status": {
            "conditions": [{"type": kind, "status": "True"} for kind in ("Trained", "GatePassed")],
            "result": {"artifact": {"uri": version, "digest": digest_of(number)}},
        }
        | changes,
    }


def served(number, *, ready=True, **status):
    """The InferenceService of that job's student."""
    made = manifests.inference_service(candidate_of(job(number)), service="digits", namespace="team-a")
    made["metadata"]["uid"] = f"isvc-{number}"
    return made | {"status": {"conditions": [{"type": "Ready", "status": str(ready)}]} | status}


def route(state, weights, *, generation=4, taken=4, refused=None):
    """The HTTPRoute, as the gateway has answered to generation `taken`."""
    made = manifests.http_route(state, weights, service="digits", namespace="team-a", ingress=INGRESS)
    made["metadata"] |= {"generation": generation, "resourceVersion": "9"}
    conditions = [
        {"type": kind, "status": "True", "observedGeneration": taken} for kind in ("Accepted", "ResolvedRefs")
    ]
    if refused:
        conditions[1] |= {"status": "False"} | refused
    parent = {"parentRef": manifests.parent_ref(INGRESS), "conditions": conditions}
    return made | {"status": {"parents": [parent]}}


HOLDING = State(stable=name_of(1), canary=name_of(2), phase=Phase.HOLDING, since=NOW)
SPLIT = ((name_of(1), 75), (name_of(2), 25))
BOTH = [served(1), served(2)]


def status(number=2, services=BOTH, at=None, **changes):
    return serving_status(job(number, **changes), services, at, NOW)


def test_nothing_is_said_before_the_gate():
    failed = [{"type": "Trained", "status": "True"}, {"type": "GatePassed", "status": "False"}]
    assert status(conditions=failed) is None
    assert status(result=None) is None


def test_a_canary_says_its_step_and_the_split():
    said = status(at=route(HOLDING, SPLIT))
    assert (said.phase, said.weight, said.canary) == (Phase.HOLDING, 25, "25%")
    assert (said.step, said.steps, said.step_start_time) == (1, 2, "2026-03-01T12:00:00Z")
    assert said.stable == name_of(1)
    assert said.url == "http://digits-team-a.example.com"
    assert said.message == f"step 1 of 2: {name_of(1)} 75%, {name_of(2)} 25%; held until 2026-03-01T12:01:00Z"


def test_the_other_side_of_the_split():
    said = status(1, at=route(HOLDING, SPLIT))
    assert (said.phase, said.weight, said.canary) == (Phase.PROMOTED, 75, "75%")


def test_the_route_is_believed_and_not_the_state():
    said = status(at=route(HOLDING, ((name_of(1), 100), (name_of(2), 0))))
    assert (said.weight, said.canary) == (0, "0%")


def test_no_share_is_shown_that_the_gateway_has_not_taken():
    said = status(at=route(HOLDING, SPLIT, taken=3))
    assert (said.weight, said.canary) == (None, "")
    refused = {"reason": "BackendNotFound", "message": "no Service digits-2"}
    said = status(at=route(HOLDING, SPLIT, refused=refused))
    assert said.message == "waiting for the gateway: BackendNotFound: no Service digits-2"


def test_a_promoted_version():
    promoted = State(stable=name_of(1), phase=Phase.PROMOTED)
    said = status(1, at=route(promoted, ((name_of(1), 100),)))
    assert (said.phase, said.weight, said.canary) == (Phase.PROMOTED, 100, "Promoted")


def test_a_version_that_a_newer_one_replaced():
    promoted = State(stable=name_of(2), phase=Phase.PROMOTED)
    said = status(1, at=route(promoted, ((name_of(2), 100),)))
    assert (said.phase, said.canary) == (Phase.SUPERSEDED, "Superseded")
    assert name_of(2) in said.message


def test_the_same_content_again_is_promoted_with_a_sentence():
    again = job(3) | {"status": job(1)["status"]}
    promoted = State(stable=name_of(1), phase=Phase.PROMOTED)
    said = serving_status(again, [served(1)], route(promoted, ((name_of(1), 100),)), NOW)
    assert said.phase is Phase.PROMOTED
    assert "nothing to roll out" in said.message


@pytest.mark.parametrize("phase", [Phase.ROLLED_BACK, Phase.SUPERSEDED])
def test_an_ending_is_told_and_stays(phase):
    ended = State(stable=name_of(1), phase=Phase.ROLLED_BACK, endings=(Ending("uid-2", phase, "why"),))
    said = status(at=route(ended, ((name_of(1), 100),)))
    assert (said.phase, said.canary, said.weight, said.message) == (phase, phase.value, 0, "why")
    forgotten = State(stable=name_of(1), phase=Phase.ROLLED_BACK)
    later = status(at=route(forgotten, ((name_of(1), 100),)), serving=said.wire())
    assert later == said


def test_a_canary_that_waits_says_for_what_and_until_when():
    waiting = State(stable=name_of(1), canary=name_of(2), since=NOW)
    services = [
        served(1),
        served(2, ready=False, modelStatus={"lastFailureInfo": {"reason": "X", "message": "y"}}),
    ]
    said = serving_status(job(2), services, route(waiting, ((name_of(1), 100),)), NOW, pods=[])
    assert (said.phase, said.canary) == (Phase.DEPLOYING, "0%")
    assert "0 of 1 server pods Ready" in said.message
    assert "X: y" in said.message
    assert said.message.endswith("if that lasts until 2026-03-01T12:10:00Z it is rolled back")


def test_a_foreign_route_is_told():
    foreign = route(HOLDING, SPLIT)
    foreign["metadata"]["labels"] = {}
    foreign["metadata"]["annotations"] = {}
    assert 'HTTPRoute "digits" exists' in status(at=foreign).message


def container(**state):
    statuses = [{"name": "kserve-container"} | state]
    spec = {"containers": [{"name": "kserve-container", "resources": {"limits": {"memory": "16Mi"}}}]}
    return {"spec": spec, "status": {"containerStatuses": statuses}}


@pytest.mark.parametrize(
    ("pod", "sentence"),
    [
        (
            container(lastState={"terminated": {"reason": "OOMKilled", "exitCode": 137}}),
            "container kserve-container was OOMKilled, exit code 137, memory limit 16Mi: raise serving.kserve.resources.memory",
        ),
        (
            container(state={"terminated": {"exitCode": 65, "message": "loading\nweights are torn"}}),
            "container kserve-container ended with exit code 65: weights are torn",
        ),
        (
            container(state={"terminated": {"exitCode": 65, "message": '{"reason": "X", "message": "it is torn"}'}}),
            "container kserve-container ended with exit code 65: it is torn",
        ),
        (
            container(state={"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}),
            "container kserve-container: ImagePullBackOff: no such image",
        ),
        (
            {"status": {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}]}},
            "Unschedulable: 0/1 nodes",
        ),
        (container(state={"waiting": {"reason": "ContainerCreating"}}), ""),
    ],
)  # fmt: skip
def test_trouble(pod, sentence):
    assert trouble(served(1), [pod]) == sentence


def test_trouble_as_kserve_tells_it():
    conditions = [
        {"type": "PredictorReady", "status": "False", "reason": "X", "message": "deadline exceeded"}
    ]
    assert trouble(served(1, conditions=conditions), []) == "X: deadline exceeded"


@pytest.mark.parametrize(
    "edit",
    [
        lambda spec: spec.update(hostnames=["other.example.com"]),
        lambda spec: spec.update(parentRefs=[]),
        lambda spec: spec["parentRefs"][0].update(name="other"),
        lambda spec: spec["rules"].append({}),
        lambda spec: spec["rules"][0].update(filters=[{"type": "RequestMirror"}]),
        lambda spec: spec["rules"][0]["backendRefs"][0].update(port=81),
        lambda spec: spec["rules"][0]["backendRefs"][0].update(name="other"),
    ],
)
def test_every_edit_of_the_route_is_seen(edit):
    edited = route(HOLDING, SPLIT)
    assert route_of(edited, "digits", "team-a", INGRESS).intact
    edit(edited["spec"])
    assert not route_of(edited, "digits", "team-a", INGRESS).intact


def test_what_is_not_of_this_service_is_not_seen():
    deleted = job(2, metadata={"deletionTimestamp": "2026-03-01T12:00:00Z"})
    theirs = served(3)
    theirs["metadata"]["labels"] = {"distillation.dev/service": "digits"}
    seen = observe(
        "team-a", "digits", jobs=[job(1), deleted], inference_services=[served(1), theirs], pods=[],
        route=route(HOLDING, SPLIT), ingress=INGRESS,
    )  # fmt: skip
    assert [candidate.job for candidate in seen.candidates] == ["digits-1"]
    assert seen.jobs == {"uid-1"}
    assert [version.name for version in seen.versions] == [name_of(1)]
    assert not seen.versions[0].ready
    assert seen.state == HOLDING
