"""A training on two nodes on a real control plane: its pods meet by name, and one that is killed is missed by none."""

import pytest
from cluster_world import digits, files_pod, files_written, make_spaces
from operator_process import Operator, define, until

pytestmark = pytest.mark.cluster

TWO = {"nodes": 2, "gpusPerNode": 1, "cpu": "100m", "memory": "1Gi"}


@pytest.fixture(scope="module")
def jobs(cluster, tmp_path_factory):
    define(cluster)
    [space] = make_spaces(cluster, 1)
    space.apply(files_pod(cluster))
    files_written(space)
    operator = Operator(cluster, tmp_path_factory.mktemp("operator"), [space.namespace])
    yield space
    operator.kill()
    cluster.kubectl("delete", "namespace", space.namespace, "--wait=false", "--ignore-not-found")


def pods(jobs, name):
    found = jobs.all("pods", f"distillation.dev/job={name},distillation.dev/role=train")
    return {pod["metadata"]["name"]: pod["status"].get("phase") for pod in found}


def test_two_pods_train_one_student(jobs):
    jobs.apply(digits("pair", resources=TWO))
    jobs.wait("pair", "Succeeded")
    status = jobs.job("pair")["status"]
    assert (status["attempt"], status.get("restarts", 0)) == (1, 0)
    assert status["result"]["student"]["metric"] > 0
    [service] = jobs.all("services", "distillation.dev/job=pair")
    assert service["spec"]["clusterIP"] == "None"


def test_a_pod_that_is_taken_away_is_a_disruption_of_both(jobs):
    jobs.apply(digits("long", resources=TWO, training={"epochs": 2000}))
    jobs.wait("long", "Running")
    until(lambda: (jobs.job("long")["status"].get("progress") or {}).get("step", 0) > 10, "it trains")
    second = next(name for name in pods(jobs, "long") if "-1-" in name)
    jobs.kubectl("delete", "pod", second, "--wait=false")
    until(lambda: jobs.job("long")["status"]["attempt"] == 2, "both begin again")
    until(lambda: jobs.job("long")["status"]["phase"] == "Running", "both train again")
    status = jobs.job("long")["status"]
    assert (status.get("restarts", 0), status["disruptions"]) == (0, 1)
    jobs.kubectl("delete", "dj", "long", "--wait=true")
