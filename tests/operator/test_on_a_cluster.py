"""The operator on a real control plane with the real trainer: jobs to their end, and the ways to fail.

Everything is set going at once; each test then looks at how its part ends.
"""

import json
import subprocess
import time
from dataclasses import dataclass, field

import pytest
from cluster_world import (
    BROKEN,
    GPU,
    LATE,
    LONG_NAME,
    LOST,
    NO_GPU,
    STUCK,
    claim,
    digits,
    files_pod,
    files_written,
    listed,
    make_spaces,
)
from operator_process import Jobs, Operator, define, until

from distill_api.naming import label_name

pytestmark = pytest.mark.cluster

KILLS = 5
"""A failing check takes five writes: ConfigMap, Job, status, status, Event."""


@dataclass
class World:
    """Spaces, and the operators that look after them."""

    jobs: Jobs
    """Good and bad jobs, under an operator that wants GPUs."""
    doomed: Jobs
    counted: Jobs
    undisturbed: Jobs
    crashed: list[Jobs]
    operator: Operator = field(init=False)
    counting: Operator = field(init=False)
    crashing: list[Operator] = field(init=False)

    @property
    def swept(self):
        return [self.undisturbed, *self.crashed]

    def start_operators(self, cluster, folder):
        """The counting one dies with its fourth write, those of the sweep with their first, second, …"""
        namespaces = [self.jobs.namespace, self.doomed.namespace]
        self.operator = Operator(cluster, folder, namespaces, DISTILL_REQUIRE_GPU="true")
        self.counting = Operator(cluster, folder, [self.counted.namespace], crash_after=4)
        self.crashing = [
            Operator(cluster, folder, [jobs.namespace], crash_after=write)
            for write, jobs in enumerate(self.crashed, 1)
        ]

    def apply_jobs(self):
        """Every job that needs no test to begin."""
        for jobs in (self.jobs, self.counted):
            files_written(jobs)
        bad = {name: changes for name, (changes, *_) in (BROKEN | STUCK).items()}
        bad |= {"no-gpu": NO_GPU, "late-claim": LATE}
        jobs = [digits(name, **changes) for name, changes in ({"good": {}, LONG_NAME: {}} | bad).items()]
        self.jobs.apply(listed(*jobs))
        self.counted.apply(digits("counted", resources=GPU | {"gpusPerNode": 0}))


@pytest.fixture(scope="module")
def world(cluster, tmp_path_factory):
    """All spaces, jobs and operators of this module."""
    define(cluster)
    jobs, doomed, counted, undisturbed, *crashed = spaces = make_spaces(cluster, 4 + KILLS)
    made = World(jobs, doomed, counted, undisturbed, crashed)
    try:
        for space in (jobs, counted):
            space.apply(files_pod(cluster))
        made.start_operators(cluster, tmp_path_factory.mktemp("operators"))
        for space in made.swept:
            space.apply(digits("swept", **LOST))
        doomed.apply(digits("doomed", **LOST))
        made.apply_jobs()
        yield made
    finally:
        for operator in (made.operator, made.counting, *made.crashing):
            operator.kill()
        names = [space.namespace for space in spaces]
        cluster.kubectl("delete", "namespace", *names, "--wait=false", "--ignore-not-found")


@pytest.fixture(scope="module")
def survivor(cluster, world, tmp_path_factory):
    """The process after those that died: it finds what they left."""
    for operator in world.crashing:
        assert operator.process.wait(timeout=240) == 137
    namespaces = [jobs.namespace for jobs in world.swept]
    operator = Operator(cluster, tmp_path_factory.mktemp("survivor"), namespaces)
    yield operator
    operator.kill()


def children(jobs, name):
    selector = f"distillation.dev/job={label_name(name)}"
    return {kind: jobs.all(kind, selector) for kind in ("configmaps", "jobs", "pods")}


def roles(jobs, name):
    """Which Jobs were made for a DistillationJob."""
    return sorted(job["metadata"]["labels"]["distillation.dev/role"] for job in children(jobs, name)["jobs"])


def test_suspended_the_pods_go_and_resumed_it_goes_on(world):
    jobs = world.jobs
    jobs.apply(digits("paused", training={"epochs": 2000}))
    jobs.wait("paused", "Running")
    jobs.kubectl("patch", "dj", "paused", "--type=merge", "-p", '{"spec":{"suspend":true}}')
    jobs.wait("paused", "Suspended")
    until(
        lambda: not jobs.all("pods", "distillation.dev/job=paused,distillation.dev/role=train"),
        "the pod goes",
    )
    jobs.kubectl("patch", "dj", "paused", "--type=merge", "-p", '{"spec":{"suspend":false}}')
    jobs.wait("paused", "Running")
    assert jobs.job("paused")["status"]["attempt"] == 2
    jobs.kubectl("delete", "dj", "paused", "--wait=true")
    until(lambda: not children(jobs, "paused")["pods"], "deleted with what belongs to it")


def test_a_namespace_goes_in_the_middle_of_a_job(world):
    doomed = world.doomed
    doomed.wait("doomed", "Checking", "Failed")
    doomed.cluster.kubectl("delete", "namespace", doomed.namespace, "--timeout=120s")
    assert world.operator.process.poll() is None
    log = world.operator.log.read_text()
    assert "Traceback" not in log
    assert sum(doomed.namespace in line and "403" in line for line in log.splitlines()) <= 5


@pytest.mark.parametrize("name", BROKEN)
def test_what_does_not_fit_is_said_before_a_gpu_is_asked_for_and_never_retried(world, name):
    _, reason, names = BROKEN[name]
    world.jobs.wait(name, "Failed", "Succeeded")
    conditions = world.jobs.conditions(name)
    assert (conditions["ContractValid"]["status"], conditions["ContractValid"]["reason"]) == ("False", reason)
    assert (conditions["Failed"]["status"], conditions["Failed"]["reason"]) == ("True", reason)
    assert names in conditions["ContractValid"]["message"]
    message = conditions["ContractValid"]["message"]
    assert message.endswith("No GPU was requested")
    assert message.count("No GPU was requested") == 1
    assert roles(world.jobs, name) == ["check"]
    assert len(children(world.jobs, name)["pods"]) == 1


@pytest.mark.parametrize("name", STUCK)
def test_a_pod_that_can_never_start_fails_at_its_deadline_and_holds_nothing(world, name):
    _, reason, names = STUCK[name]
    world.jobs.wait(name, "Failed", "Succeeded")
    failed = world.jobs.conditions(name)["Failed"]
    assert (failed["status"], failed["reason"]) == ("True", reason)
    assert names in failed["message"]
    assert "policy.pendingDeadline 10s" in failed["message"]
    until(lambda: not children(world.jobs, name)["pods"], "its pods go")
    assert "train" not in roles(world.jobs, name)


def test_a_pod_whose_claim_comes_late_goes_its_way(world):
    """What stands in the way at first is said, and is not the end."""
    jobs = world.jobs
    until(lambda: running_reason(jobs, "late-claim") == "VolumeNotFound", "the claim is missed")
    assert '"late" does not exist' in jobs.conditions("late-claim")["Running"]["message"]
    jobs.apply(claim("late", jobs.namespace))
    jobs.wait("late-claim", "Failed")
    assert jobs.conditions("late-claim")["Failed"]["reason"] == "WeightsNotFound"


def running_reason(jobs, name):
    conditions = jobs.job(name).get("status", {}).get("conditions", [])
    return next((one["reason"] for one in conditions if one["type"] == "Running"), None)


def test_without_a_gpu_where_one_is_required_nothing_is_made(world):
    world.jobs.wait("no-gpu", "Failed", "Succeeded")
    accepted = world.jobs.conditions("no-gpu")["Accepted"]
    assert (accepted["status"], accepted["reason"]) == ("False", "GpuRequired")
    assert "spec.resources.gpusPerNode is 0" in accepted["message"]
    assert not any(children(world.jobs, "no-gpu").values())


def test_a_name_of_253_characters_is_trained_as_any_other(world):
    assert len(LONG_NAME) == 253
    assert world.jobs.wait(LONG_NAME, "Succeeded", "Failed") == "Succeeded"
    assert roles(world.jobs, LONG_NAME) == ["check", "train"]


def test_a_job_from_apply_to_a_judged_student(world):
    jobs = world.jobs
    assert jobs.wait("good", "Succeeded", "Failed") == "Succeeded"
    status = jobs.job("good")["status"]
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
    made = children(jobs, "good")
    assert {kind: len(items) for kind, items in made.items()} == {"configmaps": 1, "jobs": 2, "pods": 2}
    told = {event["reason"] for event in jobs.all("events") if event["involvedObject"]["name"] == "good"}
    assert {"ContractValid", "Trained", "GatePassed"} <= told


def test_four_writes_and_no_read_lead_to_the_training_job(world, cluster, tmp_path):
    """The operator that died with its fourth write had made all; the next one makes nothing a second time."""
    jobs = world.counted
    assert world.counting.process.wait(timeout=240) == 137
    assert roles(jobs, "counted") == ["check", "train"]
    resumed = Operator(cluster, tmp_path, [jobs.namespace], DISTILL_RESYNC="600")
    try:
        assert jobs.wait("counted", "Succeeded", "Failed") == "Succeeded"
        requests = resumed.requests()
        assert ("create", "jobs") not in requests
        assert "get" not in {verb for verb, _ in requests}
        # Each kind is listed at the start and once ten seconds later, whatever the job does.
        lists = {kind: count for (verb, kind), count in requests.items() if verb == "list"}
        assert set(lists) >= {"distillationjobs", "jobs", "pods"}
        assert max(lists.values()) <= 2
        made = {kind: len(items) for kind, items in children(jobs, "counted").items()}
        assert made == {"configmaps": 1, "jobs": 2, "pods": 2}
    finally:
        resumed.kill()


def test_killed_after_any_write_it_ends_the_same_with_nothing_made_twice(world, survivor):
    for jobs in world.swept:
        jobs.wait("swept", "Failed")
    expected = end_state(world.undisturbed)
    for jobs in world.crashed:
        assert end_state(jobs) == expected
    assert survivor.stop() == 0


def end_state(jobs):
    """What is left in the end, without names, uids and times."""
    status = jobs.job("swept")["status"]
    for volatile in ("startTime", "completionTime"):
        del status[volatile]
    for condition in status["conditions"]:
        del condition["lastTransitionTime"]
    made = {kind: len(items) for kind, items in children(jobs, "swept").items()}
    return json.dumps(status, sort_keys=True), made


def test_a_finished_job_stays_as_it_is_whatever_happens_to_its_children(world, cluster, tmp_path):
    jobs, operator = world.jobs, world.operator
    for job in jobs.all("dj"):
        jobs.wait(job["metadata"]["name"], "Succeeded", "Failed")
    ended = ("good", "pickle")
    before = {name: jobs.job(name) for name in ended}
    writes = until(lambda: quiet(operator), "the operator has told everything")
    jobs.kubectl("delete", "jobs", "-l", "distillation.dev/job=good", "--wait=true")
    ttl = '{"spec":{"ttlSecondsAfterFinished":1}}'
    for child in children(jobs, "pickle")["jobs"]:
        jobs.kubectl("patch", "job", child["metadata"]["name"], "--type=merge", "-p", ttl)
    until(lambda: not children(jobs, "pickle")["jobs"], "its time to live is over")
    jobs.kubectl("annotate", "dj", "good", "example.com/note=one")
    jobs.kubectl("annotate", "dj", "good", "example.com/note=two", "--overwrite")
    after_restart = Operator(cluster, tmp_path, [jobs.namespace], DISTILL_REQUIRE_GPU="true")
    until(lambda: 'name="good"' in try_metrics(after_restart), "the second operator has seen the job")
    assert after_restart.writes() == 0
    after_restart.kill()
    assert operator.writes() == writes
    for name in ended:
        assert jobs.job(name)["status"] == before[name]["status"]
        assert not children(jobs, name)["jobs"]
        assert not children(jobs, name)["pods"]


def quiet(operator):
    """Its writes so far, where none came within a second."""
    before = operator.writes()
    time.sleep(1)
    return before if operator.writes() == before else None


def try_metrics(operator):
    try:
        return operator.metrics()
    except subprocess.CalledProcessError:
        return ""
