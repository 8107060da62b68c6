"""What a node must do: pods whose outcome any kubelet has to agree with.

Set DISTILL_TEST_KUBECONFIG to run them on another cluster, and DISTILL_TEST_IMAGE to an image with python3 and sh
that it can pull; what only the process node does is left out there. Every pod is created at the start, so the
suite takes as long as its slowest pod.
"""

import json
import os
import time

import pytest

pytestmark = pytest.mark.cluster

IMAGE = os.environ.get("DISTILL_TEST_IMAGE", "distillation/test")
PROCESS_NODE = "DISTILL_TEST_KUBECONFIG" not in os.environ
only_process_node = pytest.mark.skipif(not PROCESS_NODE, reason="says what the process node does differently")
FINALIZER = "distillation.dev/test"
HTTP_SERVER = ["python3", "-m", "http.server", "8080"]


def container(script, *, name="main", **fields):
    return {"name": name, "image": IMAGE, "command": ["sh", "-c", script], **fields}


def python(script, **fields):
    return container("", **fields) | {"command": ["python3", "-c", script]}


def pod(name, *containers, finalizer=False, restart="Never", labels=None, **spec):
    metadata = {"name": name, "labels": {"app": name} | (labels or {}), "annotations": {"note": "seen"}}
    if finalizer:
        metadata["finalizers"] = [FINALIZER]  # keeps the object for a look at its last status
    spec = {
        "restartPolicy": restart,
        "containers": list(containers),
        "terminationGracePeriodSeconds": 1,
    } | spec
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def field(path):
    return {"valueFrom": {"fieldRef": {"fieldPath": path}}}


ENV = python(
    "import json, os, sys; print(json.dumps(dict(os.environ, ARGS=' '.join(sys.argv[1:]))))",
    args=["$(PLAIN)", "$$(PLAIN)", "$(NOT_THERE)"],
    env=[
        {"name": "PLAIN", "value": "one"},
        {"name": "COMPOSED", "value": "$(PLAIN) two $$(PLAIN) $(NOT_THERE)"},
        {"name": "POD"} | field("metadata.name"),
        {"name": "UID"} | field("metadata.uid"),
        {"name": "LABEL"} | field("metadata.labels['app']"),
        {"name": "NOTE"} | field("metadata.annotations['note']"),
        {"name": "NODE"} | field("spec.nodeName"),
        {"name": "ACCOUNT"} | field("spec.serviceAccountName"),
        {"name": "IP"} | field("status.podIP"),
        {"name": "HOST_IP"} | field("status.hostIP"),
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
        {
            "name": "MEMORY",
            "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}},
        },
        {"name": "FROM_MAP", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "color"}}},
        {"name": "FROM_SECRET", "valueFrom": {"secretKeyRef": {"name": "secret", "key": "word"}}},
        {
            "name": "OPTIONAL",
            "valueFrom": {"secretKeyRef": {"name": "nowhere", "key": "x", "optional": True}},
        },
    ],
    envFrom=[
        {"configMapRef": {"name": "settings"}},
        {"prefix": "S_", "secretRef": {"name": "secret"}},
        {"configMapRef": {"name": "nowhere", "optional": True}},
    ],
    resources={"limits": {"cpu": "1500m", "memory": "64Mi"}, "requests": {"cpu": "10m", "memory": "32Mi"}},
)

READ_VOLUMES = """
import json, os, pathlib, stat
def mode(path): return oct(stat.S_IMODE(os.stat(path).st_mode))
def writable(path):
    try:
        pathlib.Path(path, 'probe').write_text('x')
        return True
    except OSError:
        return False
read = lambda path: pathlib.Path(path).read_text()
print(json.dumps({
    'map': sorted(name for name in os.listdir('/config') if not name.startswith('..')),
    'color': read('/config/color'), 'item': read('/items/deep/tint'), 'item_mode': mode('/items/deep/tint'),
    'secret': read('/mnt/secret/word'), 'secret_mode': mode('/mnt/secret/word'),
    'labels': read('/podinfo/labels'), 'cpu': read('/podinfo/cpu'), 'name': read('/all/name'), 'all': read('/all/color'),
    'sub_file': read('/etc/app/color.txt'), 'from_init': read('/shared/greeting'),
    'sub_folder': os.listdir('/one'), 'etc': os.path.exists('/etc/hosts'),
    'root_writable': writable('/usr'), 'map_writable': writable('/config'), 'shared_writable': writable('/shared'),
    'memory': [line.split()[2] for line in open('/proc/mounts') if line.split()[1] == '/fast'], 'fast_writable': writable('/fast'),
}))
"""

VOLUMES = pod(
    "volumes",
    python(
        READ_VOLUMES,
        securityContext={"readOnlyRootFilesystem": True},
        resources={"limits": {"cpu": "2"}, "requests": {"cpu": "10m"}},
        volumeMounts=[
            {"name": "config", "mountPath": "/config"},
            {"name": "items", "mountPath": "/items"},
            {"name": "secret", "mountPath": "/mnt/secret"},
            {"name": "podinfo", "mountPath": "/podinfo"},
            {"name": "all", "mountPath": "/all"},
            {"name": "config", "mountPath": "/etc/app/color.txt", "subPath": "color"},
            {"name": "shared", "mountPath": "/shared"},
            {"name": "shared", "mountPath": "/one", "subPath": "parts/one"},
            {"name": "memory", "mountPath": "/fast"},
        ],
    ),
    initContainers=[
        container(
            "echo hello > /shared/greeting; mkdir -p /shared/parts/one; touch /shared/parts/one/file",
            name="first",
            volumeMounts=[{"name": "shared", "mountPath": "/shared"}],
        ),
        container(
            "cat /shared/greeting", name="second", volumeMounts=[{"name": "shared", "mountPath": "/shared"}]
        ),
    ],
    volumes=[
        {"name": "config", "configMap": {"name": "settings"}},
        {
            "name": "items",
            "configMap": {
                "name": "settings",
                "items": [{"key": "color", "path": "deep/tint", "mode": 0o440}],
            },
        },
        {"name": "secret", "secret": {"secretName": "secret", "defaultMode": 0o400}},
        {
            "name": "podinfo",
            "downwardAPI": {
                "items": [
                    {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
                    {"path": "cpu", "resourceFieldRef": {"containerName": "main", "resource": "limits.cpu"}},
                ]
            },
        },
        {
            "name": "all",
            "projected": {
                "sources": [
                    {"configMap": {"name": "settings", "items": [{"key": "color", "path": "color"}]}},
                    {
                        "downwardAPI": {
                            "items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]
                        }
                    },
                ]
            },
        },
        {"name": "shared", "emptyDir": {}},
        {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "8Mi"}},
    ],
)

WHO_AM_I = """
import json, os, ssl, urllib.request
folder = '/var/run/secrets/kubernetes.io/serviceaccount'
url = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
body = json.dumps({'apiVersion': 'authentication.k8s.io/v1', 'kind': 'SelfSubjectReview'}).encode()
request = urllib.request.Request(url + '/apis/authentication.k8s.io/v1/selfsubjectreviews', body, {
    'Authorization': 'Bearer ' + open(folder + '/token').read(), 'Content-Type': 'application/json'})
answer = urllib.request.urlopen(request, context=ssl.create_default_context(cafile=folder + '/ca.crt'))
print(json.load(answer)['status']['userInfo']['username'])
"""

LIMITED_USER = {
    "runAsUser": 65532,
    "runAsGroup": 65531,
    "runAsNonRoot": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}

CLAIM = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
SCRATCH = {"name": "scratch", "emptyDir": {}}
ON_SCRATCH = [{"name": "scratch", "mountPath": "/scratch"}]
LOUD_TRAP = "trap 'echo asked to end; exit 7' TERM; echo up; while :; do sleep 0.1; done"

PODS = [
    pod("env", ENV),
    VOLUMES,
    pod("token", python(WHO_AM_I)),
    pod("user", container("id -u; id -g; grep CapEff /proc/self/status; grep NoNewPrivs /proc/self/status", securityContext=LIMITED_USER)),
    pod("root-refused", container("true", securityContext={"runAsNonRoot": True})),
    pod("exit-3", container("echo because of this > /dev/termination-log; exit 3")),
    pod("long-message", container("head -c 5000 /dev/zero | tr '\\0' x > /tmp/said; exit 0", terminationMessagePath="/tmp/said")),
    pod("log-message", container("echo the last words; exit 1", terminationMessagePolicy="FallbackToLogsOnError")),
    pod("killed", container("sh -c 'kill -9 $$$$'; exit $?")),
    pod("no-program", container("") | {"command": ["/no/such/program"]}),
    pod(
        "second-try",
        container("echo try; test -e /scratch/tried || { touch /scratch/tried; exit 5; }", volumeMounts=ON_SCRATCH),
        restart="OnFailure",
        volumes=[SCRATCH],
    ),
    pod("crash-loop", container("echo run; exit 1"), restart="Always"),
    pod("failed-init", container("true"), initContainers=[container("exit 4", name="init")]),
    pod("deadline", container("sleep 60"), activeDeadlineSeconds=1),
    pod("hungry", python("x = bytearray(400 << 20); import time; time.sleep(30)", resources={"limits": {"memory": "96Mi"}})),
    pod(
        "sidecar",
        container("test -e /scratch/ready", volumeMounts=ON_SCRATCH),
        initContainers=[
            container(
                "sleep 0.5; touch /scratch/ready; while :; do sleep 0.1; done",
                name="side",
                restartPolicy="Always",
                volumeMounts=ON_SCRATCH,
                startupProbe={"exec": {"command": ["test", "-e", "/scratch/ready"]}, "periodSeconds": 1},
            )
        ],
        volumes=[SCRATCH],
    ),
    pod(
        "probed",
        container(
            "touch /scratch/alive; exec python3 -m http.server 8080 --directory /scratch",
            volumeMounts=ON_SCRATCH,
            ports=[{"name": "http", "containerPort": 8080}],
            startupProbe={"tcpSocket": {"port": "http"}, "periodSeconds": 1, "failureThreshold": 60},
            readinessProbe={"httpGet": {"path": "/alive", "port": "http"}, "periodSeconds": 1, "timeoutSeconds": 5},
        ),
        restart="Always",
        volumes=[SCRATCH],
    ),
    pod(
        "unhealthy",
        container(
            "trap 'exit 0' TERM; echo begun; while :; do sleep 0.1; done",
            livenessProbe={"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 1},
        ),
        restart="Always",
    ),
    pod("never-ready", container("sleep 60", readinessProbe={"tcpSocket": {"port": 9}, "periodSeconds": 1}), restart="Always"),
    pod("same-port", container("") | {"command": HTTP_SERVER, "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1}}),
    pod("waits-for-map", container("cat /dev/null", env=[{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "late", "key": "x"}}}])),
    pod("waits-for-key", container("true", env=[{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "taste"}}}])),
    pod("waits-for-volume", container("true"), volumes=[{"name": "v", "secret": {"secretName": "late"}}]),
    pod("writer", container("echo kept > /mnt/pvc/data/deep/file", volumeMounts=[{"name": "data", "mountPath": "/mnt/pvc/data/deep", "subPath": "deep"}]), volumes=[CLAIM]),
    pod("stopped", container(LOUD_TRAP, lifecycle={"preStop": {"exec": {"command": ["sh", "-c", "echo from preStop > /dev/termination-log"]}}}), finalizer=True, terminationGracePeriodSeconds=20),
    pod("evicted", container(LOUD_TRAP), finalizer=True, terminationGracePeriodSeconds=20),
    pod("stubborn", container("trap '' TERM; echo up; while :; do sleep 0.1; done"), finalizer=True),
    pod("talkative", container("for i in 1 2 3 4 5; do echo line $i; done; sleep 1; echo the end")),
    pod("unknown-image", container("true") | {"image": "example.com/no/such:1"}),
]  # fmt: skip

OBJECTS = [
    {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings"},
        "data": {"color": "blue", "size": "L"},
    },
    {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "secret"}, "stringData": {"word": "hush"}},
    {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    },
]


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

    def release(self, name):
        self.kubectl(
            "patch", "pod", name, "--type=merge", "-p", json.dumps({"metadata": {"finalizers": None}})
        )


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
        suite.create(*OBJECTS, *PODS)
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
    assert "back-off 10s" in waiting(looping)["message"]
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


def test_each_pod_has_an_address_of_its_own(pods):
    """Both servers bind port 8080 of every address, and a third pod reaches them."""
    first = pods.until("probed", lambda s: condition(s, "Ready") == "True")["podIP"]
    second = pods.until("same-port", lambda s: condition(s, "Ready") == "True")["podIP"]
    assert first != second
    script = "import sys, urllib.request\nfor host in sys.argv[1:]:\n  print(urllib.request.urlopen(f'http://{host}:8080/', timeout=5).status)"
    pods.create(pod("client", python(script, args=[first, second])))
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
