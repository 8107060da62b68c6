"""The chart's objects before a real API server: accepted, within Pod Security "restricted", and without spare rights."""

import json

import pytest
import yaml

from distill_local.handle import CommandError

pytestmark = pytest.mark.cluster
NAMESPACE = "chart-restricted"
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
# No node has this label: the operators stay Pending, and touch nobody's jobs.
NOWHERE = 'nodeSelector={"distillation.dev/nowhere": "true"}'
FAILED = "--for=jsonpath={.status.phase}=Failed"
JOB_WITHOUT_VOLUME = {
    "apiVersion": "distillation.dev/v1alpha1",
    "kind": "DistillationJob",
    "metadata": {"name": "digits"},
    "spec": {
        "task": "ImageClassification",
        "teacher": {
            "builtin": {"name": "convnet-large"},
            "weights": {"uri": "pvc://not-there/teacher.safetensors"},
        },
        "student": {"builtin": {"name": "convnet-small"}},
        "dataset": {"builtin": {"name": "digits"}},
        "output": {"uri": "pvc://not-there/students"},
        "policy": {"pendingDeadline": "3s"},
    },
}
NEEDED = [
    "kserve-clusterservingruntimes.yaml",
    "prometheus-operator-servicemonitors.yaml",
    "prometheus-operator-podmonitors.yaml",
]


@pytest.fixture(scope="module")
def restricted(cluster):
    body = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": RESTRICTED},
    }
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(body))
    yield NAMESPACE
    cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture(scope="module")
def installed(cluster, chart, restricted):
    """A release with two operators whose CRDs are somebody else's business, as on a cluster that others use."""
    settings = "crds.install=false,serving.runtime.enabled=false,rbac.aggregateClusterRoles=false,replicas=2"
    arguments = ["--namespace", restricted, "--set", settings, "--set-json", NOWHERE]
    cluster.helm("install", "rights", str(chart), *arguments)
    yield "rights-distillation-operator"
    cluster.helm("uninstall", "rights", "--namespace", restricted)


@pytest.fixture(scope="module")
def foreign_kinds(cluster, third_party_crds, established):
    """Other projects' CRDs, unless the cluster has them; only what was added here is taken away again."""
    present = cluster.kubectl("get", "crds", "-o", "name")
    added = {}
    for file in NEEDED:
        documents = yaml.load_all((third_party_crds / file).read_text(), yaml.CSafeLoader)
        names = [document["metadata"]["name"] for document in documents if document]
        if not all(name in present for name in names):
            added[file] = names
    for file, names in added.items():
        cluster.kubectl("apply", "--server-side", "-f", str(third_party_crds / file))
        established(*names)
    yield
    for names in added.values():
        cluster.kubectl("delete", "crd", *names, "--wait=false")


def test_the_api_server_accepts_everything(cluster, render, chart, restricted, foreign_kinds):
    """Strict: an unknown or doubled field is an error."""
    objects = render("--values", chart / "ci" / "full-values.yaml", release="dry")
    for o in objects:
        if "namespace" in o["metadata"]:
            o["metadata"]["namespace"] = restricted
    text = yaml.safe_dump_all(objects)
    arguments = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts")
    answer = cluster.kubectl(*arguments, "-f", "-", stdin=text)
    assert answer.count("serverside-applied") == len(objects)


def test_the_operators_pod_is_admitted_where_only_restricted_ones_are(cluster, installed, restricted):
    deployment = json.loads(cluster.kubectl("get", "deployment", installed, "-n", restricted, "-o", "json"))
    template = deployment["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", **template}
    pod["metadata"] = {"name": "operator", "namespace": restricted, "labels": template["metadata"]["labels"]}
    cluster.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))

    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    with pytest.raises(CommandError, match="violates PodSecurity"):
        cluster.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))


def allowed(cluster, account, namespace):
    """(resource, verb) pairs of a ServiceAccount in a namespace, as the API server sees them."""
    user = f"system:serviceaccount:{NAMESPACE}:{account}"
    listing = cluster.kubectl("auth", "can-i", "--list", f"--as={user}", "-n", namespace, "--no-headers")
    pairs = set()
    for line in listing.splitlines():
        if line[:1].strip():
            resource = line.split()[0]
            verbs = line[line.rindex("[") + 1 : line.rindex("]")].split()
            pairs |= {(resource, verb) for verb in verbs}
    return pairs


def test_the_api_server_grants_what_is_needed_and_no_secret(cluster, installed, restricted):
    pairs = allowed(cluster, installed, "default")
    assert {
        ("jobs.batch", "create"),
        ("distillationjobs.distillation.dev/status", "patch"),
        ("configmaps", "create"),
        ("events", "create"),
        ("inferenceservices.serving.kserve.io", "create"),
        ("httproutes.gateway.networking.k8s.io", "patch"),
    } <= pairs
    resources = {resource for resource, _ in pairs}
    assert not {"secrets", "pods/exec", "*.*", "*", "leases.coordination.k8s.io"} & resources
    assert not {verb for _, verb in pairs} & {"*", "escalate", "bind", "impersonate"}
    assert ("leases.coordination.k8s.io", "create") in allowed(cluster, installed, restricted)


@pytest.fixture
def job_kind(cluster, root, established):
    """The CRD, unless the cluster has it."""
    name = "distillationjobs.distillation.dev"
    if name in cluster.kubectl("get", "crds", "-o", "name"):
        yield
        return
    cluster.kubectl("apply", "--server-side", "-f", str(root / "crds" / "distillationjobs.yaml"))
    established(name)
    yield
    cluster.kubectl("delete", "crd", name, "--wait=false")


def test_with_rights_in_one_namespace_a_job_goes_its_way(cluster, chart, namespace, restricted, job_kind):
    """The operator's own process, its ServiceAccount and a Lease; the job lacks its volume and says so."""
    settings = "crds.install=false,serving.runtime.enabled=false,rbac.aggregateClusterRoles=false,replicas=2"
    watch = f"watchNamespaces={{{namespace}}}"
    cluster.helm("install", "one", str(chart), "--namespace", restricted, "--set", f"{settings},{watch}")
    try:
        deployment = "deployment/one-distillation-operator"
        cluster.kubectl("rollout", "status", deployment, "-n", restricted, "--timeout=120s")
        cluster.kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(JOB_WITHOUT_VOLUME))
        cluster.kubectl("wait", "dj/digits", "-n", namespace, "--timeout=60s", FAILED)
        job = json.loads(cluster.kubectl("get", "dj", "digits", "-n", namespace, "-o", "json"))
        assert '"not-there" does not exist' in job["status"]["message"]
        pods = cluster.kubectl("logs", "-n", restricted, "-l", "app.kubernetes.io/instance=one")
        assert "forbidden" not in pods.lower()
    finally:
        cluster.helm("uninstall", "one", "--namespace", restricted)
