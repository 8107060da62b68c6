"""What a node must do: the pods of node_pods.yaml, whose outcome any kubelet has to agree with.

Set DISTILL_TEST_KUBECONFIG to run them on another cluster, and DISTILL_TEST_IMAGE to an image with python3 and sh
that it can pull; what only the process node does is left out there. Every pod is created at the start, so the
suite takes as long as its slowest pod.
"""

import json
import os
import time
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.cluster

IMAGE = os.environ.get("DISTILL_TEST_IMAGE", "distillation/test")
PROCESS_NODE = "DISTILL_TEST_KUBECONFIG" not in os.environ
only_process_node = pytest.mark.skipif(not PROCESS_NODE, reason="says what the process node does differently")
PODS = Path(__file__).with_name("node_pods.yaml")


def container(script, **fields):
    return {"name": "main", "image": IMAGE, "command": ["sh", "-c", script], **fields}


def pod(name, container, **spec):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"restartPolicy": "Never", "containers": [container], "terminationGracePeriodSeconds": 1}
        | spec,
    }


def first_objects():
    """The file's objects, with the image that this run uses."""
    objects = list(yaml.safe_load_all(PODS.read_text()))
    for spec in (item["spec"] for item in objects if item["kind"] == "Pod"):
        for each in (*spec.get("initContainers", []), *spec["containers"]):
            each["image"] = IMAGE if each["image"] == "distillation/test" else each["image"]
    return objects


class Pods:
    """The suite's namespace, looked at through kubectl."""

    def __init__(self, cluster, namespace):
        self._cluster, self.namespace = cluster, namespace

    def kubectl(self, *arguments, stdin=None):
        return self._cluster.kubectl("-n", self.namespace, *arguments, stdin=stdin)

    def create(self, *objects):
        document = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl("create", "-f", "-", stdin=json.dumps(document))

    def get(self, name):
        return json.loads(self.kubectl("get", "pod", name, "-o", "json"))

    def until(self, name, holds, seconds=60):
        """Wait until `holds(status)`, and return the status; fail with what the status was."""
        end = time.monotonic() + seconds
        while True:
            status = self.get(name)["status"]
            if holds(status):
                return status
            if time.monotonic() > end:
                pytest.fail(f"pod {name} did not get there in {seconds} s: {json.dumps(status, indent=1)}")
            time.sleep(0.2)

    def ended(self, name):
        return self.until(name, lambda status: status["phase"] in {"Succeeded", "Failed"})

    def logs(self, name, *arguments):
        return self.kubectl("logs", name, *arguments)

    def delete(self, name):
        self.kubectl("delete", "pod", name, "--wait=false")

    def release(self, *names):
        patch = json.dumps({"metadata": {"finalizers": None}})
        self.kubectl("patch", "pod", *names, "--type=merge", "-p", patch)


@pytest.fixture(scope="module")
def pods(cluster):
    name = f"node-{os.getpid()}"
    cluster.kubectl("create", "namespace", name)
    suite = Pods(cluster, name)
    try:
        end = time.monotonic() + 30
        while not cluster.kubectl("-n", name, "get", "serviceaccount", "default", "--ignore-not-found"):
            assert time.monotonic() < end, "the namespace got no default ServiceAccount"
            time.sleep(0.1)
        suite.create(*first_objects())
        yield suite
    finally:
        held = suite.kubectl(
            "get", "pod", "stopped", "evicted", "stubborn", "--ignore-not-found", "-o", "name"
        ).split()
        if held:
            suite.release(*(name.removeprefix("pod/") for name in held))
        cluster.kubectl("delete", "namespace", name, "--wait=false")


def end_of(status, index=0, field="containerStatuses"):
    return status[field][index]["state"]["terminated"]


def waiting(status):
    return status.get("containerStatuses", [{}])[0].get("state", {}).get("waiting", {})


def condition(status, kind):
    return next((c for c in status.get("conditions", []) if c["type"] == kind), {}).get("status")


def test_environment_is_what_the_spec_says(pods):
    status = pods.ended("env")
    seen = json.loads(pods.logs("env"))
    found = pods.get("env")
    expected = {
        "PLAIN": "one",
        "COMPOSED": "one two $(PLAIN) $(NOT_THERE)",
        "ARGS": "one $(PLAIN) $(NOT_THERE)",
        "POD": "env",
        "UID": found["metadata"]["uid"],
        "LABEL": "env",
        "NOTE": "seen",
        "NODE": found["spec"]["nodeName"],
        "ACCOUNT": "default",
        "IP": status["podIP"],
        "HOST_IP": status["hostIP"],
        "CPU": "2",
        "MEMORY": "64",
        "FROM_MAP": "blue",
        "FROM_SECRET": "hush",
        "color": "blue",
        "S_word": "hush",
        "HOSTNAME": "env",
    }
    assert {name: seen.get(name) for name in expected} == expected
    assert "OPTIONAL" not in seen
    assert seen["KUBERNETES_SERVICE_HOST"]
    assert seen["KUBERNETES_SERVICE_PORT"]


def test_volumes_and_init_containers(pods):
    status = pods.ended("volumes")
    assert [end["state"]["terminated"]["exitCode"] for end in status["initContainerStatuses"]] == [0, 0]
    assert pods.logs("volumes", "-c", "second") == "hello\n"
    assert json.loads(pods.logs("volumes", "-c", "main")) == {
        "map": ["color", "size"],
        "color": "blue",
        "item": "blue",
        "item_mode": "0o440",
        "secret": "hush",
        "secret_mode": "0o400",
        "labels": 'app="volumes"',
        "cpu": "2",
        "name": "volumes",
        "all": "blue",
        "sub_file": "blue",
        "from_init": "hello\n",
        "sub_folder": ["file"],
        "etc": True,
        "root_writable": False,
        "map_writable": False,
        "shared_writable": True,
        "memory": ["tmpfs"],
        "fast_writable": True,
    }


def test_a_pod_is_its_service_account_to_the_api_server(pods):
    assert pods.ended("token")["phase"] == "Succeeded"
    assert pods.logs("token").strip() == f"system:serviceaccount:{pods.namespace}:default"


def test_users_and_capabilities(pods):
    assert pods.ended("user")["phase"] == "Succeeded"
    assert pods.logs("user").split() == ["65532", "65531", "CapEff:", "0000000000000000", "NoNewPrivs:", "1"]
    status = pods.until("root-refused", lambda s: waiting(s).get("reason") == "CreateContainerConfigError")
    assert "runAsNonRoot" in waiting(status)["message"]


@pytest.mark.parametrize(
    ("name", "code", "reason", "message"),
    [
        ("exit-3", 3, "Error", "because of this\n"),
        ("long-message", 0, "Completed", "x" * 4096),
        ("log-message", 1, "Error", "the last words\n"),
        ("killed", 137, "Error", ""),
        ("hungry", 137, "OOMKilled", ""),
    ],
)
def test_how_a_container_ends(pods, name, code, reason, message):
    status = pods.ended(name)
    end = end_of(status)
    assert (end["exitCode"], end["reason"], end.get("message", "")) == (code, reason, message)
    assert end["startedAt"] <= end["finishedAt"]
    assert status["phase"] == ("Succeeded" if code == 0 else "Failed")
    assert condition(status, "Ready") == "False"


def test_a_program_that_is_not_there(pods):
    end = end_of(pods.ended("no-program"))
    assert end["exitCode"] in {127, 128}
    assert "/no/such/program" in end["message"]


def test_restart_policies(pods):
    again = pods.ended("second-try")
    assert again["phase"] == "Succeeded"
    assert again["containerStatuses"][0]["restartCount"] == 1
    assert again["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 5
    looping = pods.until("crash-loop", lambda s: waiting(s).get("reason") == "CrashLoopBackOff")
    assert looping["phase"] == "Running"
    assert looping["containerStatuses"][0]["restartCount"] >= 1
    assert "restarting failed container=main" in waiting(looping)["message"]
    assert pods.logs("crash-loop", "--previous") == "run\n"


def test_init_containers_that_fail_and_that_stay(pods):
    failed = pods.ended("failed-init")
    assert failed["phase"] == "Failed"
    assert condition(failed, "Initialized") == "False"
    assert waiting(failed)["reason"] == "PodInitializing"
    beside = pods.ended("sidecar")
    assert beside["phase"] == "Succeeded"
    assert "terminated" in beside["initContainerStatuses"][0]["state"]


def test_deadline(pods):
    status = pods.ended("deadline")
    assert (status["phase"], status["reason"]) == ("Failed", "DeadlineExceeded")


def test_probes(pods):
    ready = pods.until("probed", lambda s: condition(s, "Ready") == "True")
    assert ready["containerStatuses"][0]["started"]
    assert condition(ready, "ContainersReady") == condition(ready, "Initialized") == "True"
    restarted = pods.until(
        "unhealthy", lambda s: s.get("containerStatuses", [{}])[0].get("restartCount", 0) >= 1
    )
    assert restarted["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 0
    unready = pods.until("never-ready", lambda s: s["phase"] == "Running")
    assert condition(unready, "Ready") == "False"
    assert unready["containerStatuses"][0]["started"]


def test_a_probe_that_fails_again_and_again_is_one_event(pods):
    address = pods.until("never-ready", lambda s: s["phase"] == "Running")["podIP"]
    chosen = "--field-selector=involvedObject.name=never-ready,reason=Unhealthy"

    def events():
        return json.loads(pods.kubectl("get", "events", chosen, "-o", "json"))["items"]

    end = time.monotonic() + 60
    while not (found := events()) or found[0]["count"] < 3:
        assert time.monotonic() < end, f"not counted: {found}"
        time.sleep(0.5)
    assert len(found) == 1
    assert found[0]["message"] == f"Readiness probe failed: dial tcp {address}:9: connect: connection refused"
    assert found[0]["firstTimestamp"] < found[0]["lastTimestamp"]


def test_each_pod_has_an_address_of_its_own(pods):
    """Both servers bind port 8080 of every address, and a third pod reaches them."""
    first = pods.until("probed", lambda s: condition(s, "Ready") == "True")["podIP"]
    second = pods.until("same-port", lambda s: condition(s, "Ready") == "True")["podIP"]
    assert first != second
    script = "import sys, urllib.request as u; print(*(u.urlopen(f'http://{h}:8080/', timeout=5).status for h in sys.argv[1:]))"
    client = container("") | {"command": ["python3", "-c", script], "args": [first, second]}
    pods.create(pod("client", client))
    assert pods.ended("client")["phase"] == "Succeeded"
    assert pods.logs("client").split() == ["200", "200"]


def test_what_is_missing_is_waited_for(pods):
    status = pods.until("waits-for-map", lambda s: waiting(s).get("reason") == "CreateContainerConfigError")
    assert waiting(status)["message"] == 'configmap "late" not found'
    status = pods.until("waits-for-key", lambda s: waiting(s).get("reason") == "CreateContainerConfigError")
    assert waiting(status)["message"] == f"couldn't find key taste in ConfigMap {pods.namespace}/settings"
    assert waiting(pods.get("waits-for-volume")["status"])["reason"] == "ContainerCreating"
    pods.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late"}, "data": {"x": "y"}})
    assert pods.ended("waits-for-map")["phase"] == "Succeeded"


def test_claims_keep_their_files(pods, cluster):
    assert pods.ended("writer")["phase"] == "Succeeded"
    reader = container(
        "cat /data/deep/file; touch /data/no 2>/dev/null || echo read-only",
        volumeMounts=[{"name": "data", "mountPath": "/data"}],
    )
    claim = {"name": "data", "persistentVolumeClaim": {"claimName": "data", "readOnly": True}}
    pods.create(pod("reader", reader, volumes=[claim]))
    assert pods.ended("reader")["phase"] == "Succeeded"
    assert pods.logs("reader") == "kept\nread-only\n"
    if PROCESS_NODE:
        volume = json.loads(pods.kubectl("get", "pvc", "data", "-o", "json"))["spec"]["volumeName"]
        pods.kubectl("delete", "pod", "writer", "reader")
        pods.kubectl("delete", "pvc", "data")
        cluster.kubectl("wait", "--for=delete", f"pv/{volume}", "--timeout=30s")


def test_a_deleted_pod_is_asked_told_and_reported(pods):
    for name in ("stopped", "stubborn", "evicted"):
        pods.until(name, lambda s: s["phase"] == "Running")
        pods.kubectl("logs", "-f", name, "--limit-bytes=3")  # "up": the trap is set
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": "evicted", "namespace": pods.namespace},
    }
    path = f"/api/v1/namespaces/{pods.namespace}/pods/evicted/eviction"
    pods.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
    pods.delete("stopped")
    pods.delete("stubborn")
    stopped, stubborn, evicted = (pods.ended(name) for name in ("stopped", "stubborn", "evicted"))
    assert (end_of(stopped)["exitCode"], end_of(stopped)["message"]) == (7, "from preStop\n")
    assert end_of(stubborn)["exitCode"] == 137
    assert end_of(evicted)["exitCode"] == 7
    assert condition(evicted, "DisruptionTarget") == "True"
    names = ("stopped", "stubborn", "evicted")
    pods.release(*names)
    pods.kubectl("wait", "--for=delete", *(f"pod/{name}" for name in names), "--timeout=30s")


def test_logs(pods):
    whole = "line 1\nline 2\nline 3\nline 4\nline 5\nthe end\n"
    pods.until("talkative", lambda s: s["phase"] != "Pending")
    assert pods.logs("talkative", "-f") == whole
    assert pods.logs("talkative", "--tail=2") == "line 5\nthe end\n"
    assert pods.logs("talkative", "--limit-bytes=6") == "line 1"
    assert pods.logs("talkative", "--since=1h") == whole
    stamps = [line.split(" ", 1)[0] for line in pods.logs("talkative", "--timestamps").splitlines()]
    assert stamps == sorted(stamps)
    assert stamps[0].startswith("20")


def test_an_image_that_cannot_be_had(pods):
    status = pods.until(
        "unknown-image", lambda s: waiting(s).get("reason") in {"ErrImagePull", "ImagePullBackOff"}
    )
    assert status["phase"] == "Pending"
    if PROCESS_NODE:
        assert "example.com/no/such:1" in waiting(status)["message"]
        assert "distillation/trainer" in waiting(status)["message"]


@only_process_node
def test_no_pod_sees_the_folder_of_any_cluster(pods, cluster):
    key, home = cluster.paths.pki / "admin.key", cluster.paths.root.parent
    assert key.stat().st_size > 0
    assert cluster.kubeconfig.stat().st_size > 0
    script = f"cat {key}; cat {cluster.kubeconfig}; ls -A {home}; umount {home}; ls -A {home}"
    pods.create(pod("curious", container(script)))
    pods.ended("curious")
    said = pods.logs("curious").splitlines()
    assert len(said) == 3
    assert all(line.startswith(("cat: ", "umount: ")) for line in said)


@only_process_node
@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({"hostNetwork": True}, "spec.hostNetwork"),
        ({"volumes": [{"name": "x", "hostPath": {"path": "/"}}]}, "spec.volumes[0].hostPath"),
    ],
)
def test_what_it_cannot_do_is_refused_with_a_sentence(pods, spec, named):
    name = "refused-" + next(iter(spec)).lower()
    pods.create(pod(name, container("true"), **spec))
    status = pods.ended(name)
    assert (status["phase"], status["reason"]) == ("Failed", "UnsupportedByProcessNode")
    assert named in status["message"]
