"""The operator on a real control plane with the real trainer: one job to its end, and the ways to fail."""

import json
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from operator_process import Jobs, Operator, until

pytestmark = pytest.mark.cluster

CRD = Path(__file__).resolve().parents[2] / "crds/distillationjobs.yaml"
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "models"},
    "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}},
}
TEACHER = """
from pathlib import Path
from safetensors.torch import save_file
from distill_api.sources import BuiltinDataset, Dataset
from distill_api.training import Objective, Training
from distill_trainer import data
from distill_trainer.stop import StopSignal
from distill_trainer.teachers.fit import fit, new_network
samples = data.load(Dataset(builtin=BuiltinDataset(name="digits")), seed=0)
network = new_network("mlp", samples, seed=0)
fit(network, samples, Training(epochs=3), Objective(), stop=StopSignal())
save_file(network.state_dict(), "/mnt/pvc/models/teacher.safetensors")
"""


def digits(name, **changes):
    spec = {
        "task": "ImageClassification",
        "teacher": {"builtin": {"name": "mlp"}, "weights": {"uri": "pvc://models/teacher.safetensors"}},
        "student": {"builtin": {"name": "convnet-tiny"}},
        "dataset": {"builtin": {"name": "digits"}},
        "training": {"epochs": 2},
        "output": {"uri": f"pvc://models/students/{name}"},
        "resources": {"gpusPerNode": 1, "cpu": "100m", "memory": "1Gi"},
        "gate": {"minValue": 0.1},
    }
    return {
        "apiVersion": "distillation.dev/v1alpha1",
        "kind": "DistillationJob",
        "metadata": {"name": name},
        "spec": spec | changes,
    }


LOST_WEIGHTS = {"teacher": {"builtin": {"name": "mlp"}, "weights": {"uri": "pvc://models/lost.safetensors"}}}


def teacher_pod(cluster):
    python = sys.executable if hasattr(cluster, "paths") else "python"
    container = {
        "name": "teacher",
        "image": "distillation/trainer:0.1.0",
        "command": [python, "-c", TEACHER],
        "volumeMounts": [{"name": "models", "mountPath": "/mnt/pvc/models"}],
        "securityContext": {"runAsUser": 65532},
    }
    volume = {"name": "models", "persistentVolumeClaim": {"claimName": "models"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "teacher"},
        "spec": {"restartPolicy": "Never", "containers": [container], "volumes": [volume]},
    }


@pytest.fixture(scope="module")
def spaces(cluster):
    """Makes namespaces with a claim, and removes them at the end."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRD))
    cluster.kubectl(
        "wait", "--for=condition=Established", "--timeout=60s", "crd/distillationjobs.distillation.dev"
    )
    made = []

    def make(count):
        new = []
        for _ in range(count):
            name = f"op-{secrets.token_hex(4)}"
            cluster.kubectl("create", "namespace", name)
            made.append(name)
            new.append(Jobs(cluster, name))
            new[-1].apply(CLAIM)
        return new

    yield make
    for name in made:
        cluster.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.fixture(scope="module")
def world(cluster, spaces, tmp_path_factory):
    """A namespace with a trained teacher, another to be deleted, and one operator for both."""
    jobs, doomed = spaces(2)
    jobs.apply(teacher_pod(cluster))
    operator = Operator(cluster, tmp_path_factory.mktemp("operator"), [jobs.namespace, doomed.namespace])
    until(lambda: jobs.get("pod", "teacher")["status"]["phase"] in {"Succeeded", "Failed"}, "a teacher")
    assert jobs.get("pod", "teacher")["status"]["phase"] == "Succeeded", jobs.kubectl("logs", "teacher")
    yield jobs, doomed, operator
    operator.kill()


def children(jobs, name):
    selector = f"distillation.dev/job={name}"
    return {kind: jobs.all(kind, selector) for kind in ("configmaps", "jobs", "pods")}


@pytest.fixture(scope="module")
def good(world):
    """A job that has succeeded."""
    jobs, _, _ = world
    jobs.apply(digits("good"))
    assert jobs.wait("good", "Succeeded", "Failed") == "Succeeded"
    return jobs


def test_a_job_from_apply_to_a_judged_student(good):
    jobs = good
    status = jobs.get("dj", "good")["status"]
    conditions = {one["type"]: (one["status"], one["reason"]) for one in status["conditions"]}
    assert conditions == {
        "Accepted": ("True", "Accepted"),
        "ContractValid": ("True", "ContractValid"),
        "Running": ("False", "Ended"),
        "Trained": ("True", "Trained"),
        "GatePassed": ("True", "GatePassed"),
    }
    assert status["result"]["artifact"]["uri"].startswith("pvc://models/students/good/versions/")
    assert status["lineage"]["recipeDigest"].startswith("sha256:")
    assert (status["attempt"], status["restarts"], status["disruptions"]) == (1, 0, 0)
    assert (status["teacher"], status["student"]) == ("mlp", "convnet-tiny")
    assert status["progressText"] == "100%"
    assert status["progress"]["totalSteps"] > 0
    made = children(jobs, "good")
    assert {kind: len(items) for kind, items in made.items()} == {"configmaps": 1, "jobs": 2, "pods": 2}
    told = {event["reason"] for event in jobs.all("events") if event["involvedObject"]["name"] == "good"}
    assert {"ContractValid", "Trained", "GatePassed"} <= told


def test_a_finished_job_stays_as_it_is_whatever_happens_to_its_children(world, good, cluster, tmp_path):
    jobs, _, operator = world
    before = jobs.get("dj", "good")
    writes = sum_of_writes(operator)
    jobs.kubectl("delete", "jobs", "-l", "distillation.dev/job=good", "--wait=true")
    jobs.kubectl("annotate", "dj", "good", "example.com/note=one")
    jobs.kubectl("annotate", "dj", "good", "example.com/note=two", "--overwrite")
    after_restart = Operator(cluster, tmp_path, [jobs.namespace])
    until(lambda: 'name="good"' in try_metrics(after_restart), "the second operator has seen the job")
    assert sum_of_writes(after_restart) == 0
    after_restart.kill()
    assert sum_of_writes(operator) == writes
    assert jobs.get("dj", "good")["status"] == before["status"]
    assert children(jobs, "good")["jobs"] == []


def test_the_wrong_input_is_said_before_a_gpu_is_asked_for_and_never_retried(world):
    jobs, _, _ = world
    jobs.apply(digits("lost", **LOST_WEIGHTS))
    jobs.wait("lost", "Failed")
    conditions = jobs.conditions("lost")
    assert conditions["ContractValid"]["status"] == "False"
    assert conditions["ContractValid"]["reason"] not in {"CheckFailed", "CheckTimedOut"}
    assert "lost.safetensors" in conditions["ContractValid"]["message"]
    assert conditions["ContractValid"]["message"].endswith("No GPU was requested")
    made = children(jobs, "lost")
    assert [job["metadata"]["labels"]["distillation.dev/role"] for job in made["jobs"]] == ["check"]
    assert len(made["pods"]) == 1


def test_a_pod_that_can_never_start_fails_at_its_deadline_and_holds_nothing(world):
    jobs, _, _ = world
    policy = {"pendingDeadline": "4s"}
    image = {"gpusPerNode": 1, "template": {"image": "registry.invalid/team/trainer:1"}}
    jobs.apply(digits("no-image", policy=policy, resources=image))
    jobs.apply(digits("no-claim", policy=policy, output={"uri": "pvc://not-there/x"}))
    for name, reason, object_name in (
        ("no-image", "ImagePullFailed", "registry.invalid/team/trainer:1"),
        ("no-claim", "VolumeNotFound", "not-there"),
    ):
        jobs.wait(name, "Failed")
        failed = jobs.conditions(name)["Failed"]
        assert failed["reason"] == reason
        assert object_name in failed["message"]
        assert "policy.pendingDeadline 4s" in failed["message"]
        until(lambda name=name: not children(jobs, name)["pods"], f"the pods of {name} go")


def test_suspended_the_pods_go_and_resumed_it_goes_on(world):
    jobs, _, _ = world
    jobs.apply(digits("paused", training={"epochs": 40}))
    jobs.wait("paused", "Running")
    jobs.kubectl("patch", "dj", "paused", "--type=merge", "-p", '{"spec":{"suspend":true}}')
    jobs.wait("paused", "Suspended")
    until(
        lambda: not jobs.all("pods", "distillation.dev/job=paused,distillation.dev/role=train"),
        "the pod goes",
    )
    jobs.kubectl("patch", "dj", "paused", "--type=merge", "-p", '{"spec":{"suspend":false}}')
    jobs.wait("paused", "Running")
    assert jobs.get("dj", "paused")["status"]["attempt"] == 2
    jobs.kubectl("delete", "dj", "paused", "--wait=true")
    until(lambda: not children(jobs, "paused")["pods"], "deleted with what belongs to it")


def test_a_namespace_goes_in_the_middle_of_a_job(world):
    _, doomed, operator = world
    doomed.apply(digits("doomed", **LOST_WEIGHTS))
    doomed.wait("doomed", "Checking", "Failed")
    doomed.cluster.kubectl("delete", "namespace", doomed.namespace, "--timeout=120s")
    assert operator.process.poll() is None
    assert "Traceback" not in operator.log.read_text()


def test_killed_after_any_write_it_ends_the_same_with_nothing_made_twice(cluster, spaces, tmp_path):
    """A failing check takes five writes: ConfigMap, Job, status, status, Event. One space for each, one undisturbed."""
    undisturbed, *crashed = spaces(6)
    crashing = [
        Operator(cluster, tmp_path, [jobs.namespace], crash_after=write)
        for write, jobs in enumerate(crashed, 1)
    ]
    for jobs in (undisturbed, *crashed):
        jobs.apply(digits("swept", **LOST_WEIGHTS))
    for operator in crashing:
        assert operator.process.wait(timeout=240) == 137
    survivor = Operator(cluster, tmp_path, [jobs.namespace for jobs in (undisturbed, *crashed)])
    try:
        for jobs in (undisturbed, *crashed):
            jobs.wait("swept", "Failed")
        expected = end_state(undisturbed)
        for jobs in crashed:
            assert end_state(jobs) == expected
        assert survivor.stop() == 0
    finally:
        survivor.kill()


def end_state(jobs):
    """What is left in the end, without names, uids and times."""
    status = jobs.get("dj", "swept")["status"]
    for volatile in ("startTime", "completionTime"):
        del status[volatile]
    for condition in status["conditions"]:
        del condition["lastTransitionTime"]
    made = {kind: len(items) for kind, items in children(jobs, "swept").items()}
    return json.dumps(status, sort_keys=True), made


def sum_of_writes(operator):
    writes = {"create", "apply", "patch", "update", "delete"}
    return sum(count for (verb, _), count in operator.requests().items() if verb in writes)


def try_metrics(operator):
    try:
        return operator.metrics()
    except subprocess.CalledProcessError:
        return ""


def test_four_writes_and_no_read_lead_to_the_training_job(cluster, world, tmp_path):
    """The operator dies with its fourth write, and the training Job is there."""
    jobs, _, operator = world
    operator.kill()
    jobs.apply(digits("counted"))
    counting = Operator(cluster, tmp_path, [jobs.namespace], crash_after=4)
    assert counting.process.wait(timeout=240) == 137
    made = children(jobs, "counted")
    assert sorted(job["metadata"]["labels"]["distillation.dev/role"] for job in made["jobs"]) == [
        "check",
        "train",
    ]
    resumed = Operator(cluster, tmp_path, [jobs.namespace])
    try:
        assert jobs.wait("counted", "Succeeded", "Failed") == "Succeeded"
        requests = resumed.requests()
        assert not {verb for verb, _ in requests} & {"get"}
        assert ("create", "jobs") not in requests
        assert {kind: len(items) for kind, items in children(jobs, "counted").items()} == {
            "configmaps": 1,
            "jobs": 2,
            "pods": 2,
        }
    finally:
        resumed.kill()
