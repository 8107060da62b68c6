"""The process node killed and started again: its pods' processes end with it, and every pod goes on as its policy says."""

import json
import time

import psutil
import pytest

from distill_local.handle import Cluster

pytestmark = pytest.mark.cluster


def container(script):
    return {"name": "main", "image": "distillation/test", "command": ["sh", "-c", script]}


def node_process(cluster):
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if "distill_local.node" in command and any(str(cluster.paths.root) in part for part in command):
            return process
    return None


def wait_for(what, holds):
    end = time.monotonic() + 60
    while not (found := holds()):
        assert time.monotonic() < end, f"{what} did not happen in 60 s"
        time.sleep(0.2)
    return found


@pytest.fixture
def kubectl(cluster, namespace):
    if not isinstance(cluster, Cluster):
        pytest.skip("kills the process node, and this cluster has another one")
    account = ("-n", namespace, "get", "serviceaccount", "default", "--ignore-not-found")
    wait_for("the default ServiceAccount", lambda: cluster.kubectl(*account))
    return lambda *arguments, stdin=None: cluster.kubectl("-n", namespace, *arguments, stdin=stdin)


def test_a_killed_node_converges(cluster, kubectl):
    marker = "sleep 4077"
    items = [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": policy.lower()}, "spec": {"restartPolicy": policy, "containers": [container(marker)]}}
        for policy in ("Always", "Never")
    ]  # fmt: skip
    kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))

    def statuses():
        listed = json.loads(kubectl("get", "pods", "-o", "json"))["items"]
        return {item["metadata"]["name"]: item["status"] for item in listed}

    wait_for("both pods running", lambda: all(s["phase"] == "Running" for s in statuses().values()))
    containers = [
        p for p in psutil.process_iter(["cmdline"]) if " ".join(p.info["cmdline"] or []).endswith(marker)
    ]
    assert len(containers) >= 2
    node = node_process(cluster)
    node.kill()
    _, alive = psutil.wait_procs(containers, timeout=20)
    assert not alive, "containers outlived their node"

    def settled():
        found = statuses()
        main = found["always"]["containerStatuses"][0]
        return (
            found
            if found["never"]["phase"] == "Failed"
            and main["restartCount"] == 1
            and "running" in main["state"]
            else None
        )

    found = wait_for("the pods going on", settled)
    assert found["never"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 137
    assert found["always"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 137
    kubectl("delete", "pods", "--all", "--now", "--timeout=30s")
