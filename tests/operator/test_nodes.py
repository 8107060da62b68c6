"""Trainings on several nodes: pods that begin, wait and end together are one training to whoever asks."""

import json

import pytest
from operator_builders import CHECKED, OUTCOME, OWNER, ago, case, child, ended, pending, running, spec, status

from distill_api.contract import TrainerConfig
from distill_api.status import DistillationJobStatus
from distill_operator.decide import decide
from distill_operator.kinds import JOB, SERVICE
from distill_operator.manifests import check_job, training_job
from distill_operator.observe import INDEX_ANNOTATION, observe_child
from distill_operator.plan import training_plan
from distill_operator.reconcile.apply import Applier
from distill_operator.reconcile.memory import JobMemory
from distill_operator.settings import Settings
from distill_operator.status import next_status
from distill_operator.verdict import CreateTraining

TWO = {"resources": {"nodes": 2}}
NOW_TEXT = "2026-01-02T03:00:00Z"


def decided(*pods, **fields):
    """Verdict and status of a job on two nodes."""
    found = case(TWO, status=CHECKED, training=child(*pods, nodes=2, **fields))
    verdict = decide(found)
    return verdict, next_status(found.observed, verdict, found.now)


def said(status_, kind):
    return next(c for c in status_.conditions if c.type == kind)


def test_a_training_runs_when_all_its_pods_run():
    _, after = decided(running(name="digits-0"), running(name="digits-1", index=1))
    assert (after.phase, said(after, "Running").message) == ("Running", "Pod digits-0 trains")


def test_pods_that_run_wait_for_the_one_that_finds_no_node():
    waits = pending(unschedulable="0/3 nodes are available: 3 Insufficient nvidia.com/gpu.", index=1)
    verdict, after = decided(running(), waits)
    assert (after.phase, said(after, "Running").reason) == ("Starting", "Unschedulable")
    assert verdict.requeue == 30 * 60 - 30
    waits = pending(31 * 60, unschedulable="0/3 nodes are available.", index=1)
    _, after = decided(running(), waits)
    assert (after.phase, said(after, "Failed").reason) == ("Failed", "Unschedulable")


def test_the_result_is_the_first_pods():
    quiet = ended(0, "", index=1)
    _, after = decided(quiet, ended(0, OUTCOME), complete=True, completion_time=ago(1))
    assert after.phase == "Succeeded"
    assert after.result.student.metric == 0.979


def test_another_pods_good_end_is_not_yet_the_trainings():
    verdict, _ = decided(running(), ended(0, "", index=1))
    assert verdict.silent


def test_the_words_of_the_pod_that_speaks_are_told():
    words = {"reason": "Unexpected", "message": "a process of the training failed unexpectedly (ValueError)"}
    gone = ended(1, "Traceback", index=1)
    _, after = decided(ended(1, words), gone, failed_reason="BackoffLimitExceeded", failed_message="no more")
    assert "a process of the training failed unexpectedly (ValueError)" in said(after, "Failed").message


def raw_job(nodes, **fields):
    return {
        "metadata": {"name": "digits", "uid": "job-1", "creationTimestamp": NOW_TEXT},
        "spec": {"completions": nodes, "parallelism": nodes, "backoffLimit": 3 * nodes},
        "status": fields,
    }


@pytest.mark.parametrize(
    ("nodes", "failed", "counted"), [(1, 2, 2), (2, 1, 1), (2, 2, 1), (2, 3, 2), (4, 4, 1)]
)
def test_pods_that_end_together_fail_once(nodes, failed, counted):
    found = observe_child(raw_job(nodes, failed=failed), [])
    assert (found.nodes, found.failures, found.backoff_limit) == (nodes, counted, 3)


def test_a_pods_number_is_its_completion_index():
    metadata = {"name": "digits-1-x", "uid": "pod", "creationTimestamp": NOW_TEXT}
    metadata["annotations"] = {INDEX_ANNOTATION: "1"}
    assert observe_child(raw_job(2), [{"metadata": metadata}]).pods[0].index == 1


def test_an_eviction_of_one_pod_or_of_all_is_one_disruption_and_one_attempt():
    memory = JobMemory()
    first = [running(uid="a0"), running(uid="a1", index=1)]
    assert memory.count(child(*first, nodes=2), DistillationJobStatus()) == (1, 0)
    gone = [ended(75, uid="a0", disrupted=True), ended(75, uid="a1", index=1, disrupted=True)]
    again = [running(uid="b0"), running(uid="b1", index=1)]
    assert memory.count(child(*gone, *again, nodes=2), DistillationJobStatus()) == (2, 1)
    lost = [ended(1, uid="b0"), ended(None, uid="b1", index=1, disrupted=True)]
    assert memory.count(child(*lost, nodes=2), DistillationJobStatus()) == (2, 2)
    # A process that starts anew goes on from the status.
    assert JobMemory().count(child(*gone, *again, nodes=2), status(attempt=2, disruptions=1)) == (2, 1)


def made(changes):
    return training_plan(OWNER, spec(**changes), Settings())


def environment(job):
    container = job["spec"]["template"]["spec"]["containers"][0]
    return {variable["name"]: variable.get("value") for variable in container["env"]}


def test_a_pod_with_several_gpus_starts_a_process_for_each():
    found = environment(training_job(made({"resources": {"gpusPerNode": 4}}), 3))
    assert (found["DISTILL_NODES"], found["DISTILL_PROCESSES"]) == ("1", "4")
    assert "MASTER_ADDR" not in found
    assert not {"DISTILL_NODES", "DISTILL_PROCESSES"} & set(environment(training_job(made({}), 3)))


def test_the_check_knows_how_many_will_train():
    assert (
        environment(check_job(made({"resources": {"nodes": 2, "gpusPerNode": 8}})))["DISTILL_PROCESSES"]
        == "8"
    )


def test_how_many_train_does_not_change_what_is_trained():
    assert made({}).config.recipe_digest == made({"resources": {"nodes": 8}}).config.recipe_digest
    assert "nodes" not in json.dumps(TrainerConfig.model_validate(made({}).config).wire())


class Written:
    """A cluster that keeps what it is given."""

    def __init__(self):
        self.kinds = []

    async def create(self, kind, _namespace, body):
        self.kinds.append(kind)
        return body


class Cached(dict):
    def __missing__(self, kind):
        return self

    def put(self, _):
        pass


@pytest.mark.parametrize(("nodes", "kinds"), [(1, [JOB]), (2, [SERVICE, JOB])])
async def test_the_service_is_there_before_the_pods(nodes, kinds):
    cluster = Written()
    plan = made({"resources": {"nodes": nodes}})
    await Applier(cluster, Cached(), print, OWNER, plan).apply(CreateTraining(3))
    assert cluster.kinds == kinds
