"""The CustomResourceDefinitions travel with the release: upgraded by it, kept when it goes.

On a cluster these tests work on a copy of the chart whose API group is their own, so that they may remove the
definition without touching anybody's jobs.
"""

import json
import shutil
import time

import pytest
import yaml

from distill_local.handle import CommandError

GROUP = "charts.test.distillation.dev"
# No node has this label: the operator stays Pending, and touches nobody's jobs.
NOWHERE = 'nodeSelector={"distillation.dev/nowhere": "true"}'
CRD = f"distillationjobs.{GROUP}"
EXPLAIN = ("--api-version", f"{GROUP}/v1alpha1")
JOB = {
    "apiVersion": f"{GROUP}/v1alpha1",
    "kind": "DistillationJob",
    "metadata": {"name": "digits"},
    "spec": {
        "task": "ImageClassification",
        "teacher": {
            "builtin": {"name": "convnet-large"},
            "weights": {"uri": "pvc://models/teacher.safetensors"},
        },
        "student": {"builtin": {"name": "convnet-small"}},
        "dataset": {"builtin": {"name": "digits"}},
        "output": {"uri": "pvc://models/students/digits"},
    },
}


def definitions(objects):
    return {o["metadata"]["name"]: o for o in objects if o["kind"] == "CustomResourceDefinition"}


def test_the_charts_copy_is_the_generated_one(root, chart):
    source = {path.name: path.read_text() for path in (root / "crds").glob("*.yaml")}
    copy = {path.name: path.read_text() for path in (chart / "files" / "crds").glob("*.yaml")}
    assert copy == source


def test_rendering_changes_no_schema(render, root):
    rendered = definitions(render())
    sources = [yaml.load(path.read_text(), yaml.CSafeLoader) for path in (root / "crds").glob("*.yaml")]
    assert {name: crd["spec"] for name, crd in rendered.items()} == {
        crd["metadata"]["name"]: crd["spec"] for crd in sources
    }


def test_definitions_are_kept_unless_it_is_said_otherwise(render):
    for arguments, policy in (((), "keep"), (("--set", "crds.keep=false"), None)):
        for crd in definitions(render(*arguments)).values():
            assert crd["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == policy
    assert not definitions(render("--set", "crds.install=false"))


@pytest.fixture(scope="module")
def charts(chart, tmp_path_factory):
    """Folders of the last version, whose schema lacks two fields, and of the present one."""
    folders = []
    for version in ("last", "present"):
        folder = tmp_path_factory.mktemp("charts") / version
        shutil.copytree(chart, folder)
        path = folder / "files" / "crds" / "distillationjobs.yaml"
        crd = yaml.load(path.read_text(), yaml.CSafeLoader)
        crd["metadata"]["name"], crd["spec"]["group"] = CRD, GROUP
        if version == "last":
            schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
            del schema["spec"]["properties"]["policy"]["properties"]["pendingDeadline"]
            del schema["status"]["properties"]["disruptions"]
        path.write_text(yaml.safe_dump(crd))
        folders.append(folder)
    return folders


@pytest.fixture
def release(cluster, namespace):
    """Helm in a namespace of its own; nothing of the test is left afterwards."""

    def helm(command, name, *arguments):
        quiet = ["--set", "rbac.aggregateClusterRoles=false,serving.runtime.enabled=false"]
        quiet += ["--set-json", NOWHERE]
        values = quiet if command in {"install", "upgrade"} else []
        return cluster.helm(command, name, *map(str, arguments), "--namespace", namespace, *values)

    yield helm
    cluster.helm("uninstall", "chart-crds", "another", "--namespace", namespace, "--ignore-not-found")
    cluster.kubectl("delete", "crd", CRD, "--ignore-not-found")


@pytest.fixture
def jobs(cluster, namespace):
    """Reads and writes jobs in the tests' group."""

    class Jobs:
        def apply(self, **policy):
            document = json.loads(json.dumps(JOB))
            if policy:
                document["spec"]["policy"] = policy
            return cluster.kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(document))

        def read(self):
            return json.loads(cluster.kubectl("get", CRD, "digits", "-n", namespace, "-o", "json"))

        def say(self, **status):
            patch = ["--subresource=status", "--type=merge", "-p", json.dumps({"status": status})]
            cluster.kubectl("patch", CRD, "digits", "-n", namespace, *patch)

    return Jobs()


def explained(cluster, field):
    """What `kubectl explain` says; the API server publishes a schema some seconds after it has accepted it."""
    for _ in range(40):
        try:
            return cluster.kubectl("explain", f"distillationjobs.{field}", *EXPLAIN)
        except CommandError as error:
            refused = error
            time.sleep(0.5)
    raise refused


@pytest.mark.cluster
def test_an_upgrade_brings_the_new_schema_and_loses_no_job(cluster, charts, release, jobs, established):
    last, present = charts
    release("install", "chart-crds", last)
    established(CRD)
    jobs.apply()
    born = jobs.read()["metadata"]["uid"]
    with pytest.raises(CommandError, match="pendingDeadline"):
        jobs.apply(pendingDeadline="2m")

    release("upgrade", "chart-crds", present)
    assert "fails the job" in explained(cluster, "spec.policy.pendingDeadline")
    jobs.apply(pendingDeadline="2m")
    jobs.say(disruptions=1)
    job = jobs.read()
    assert job["spec"]["policy"]["pendingDeadline"] == "2m"
    assert job["status"]["disruptions"] == 1
    assert job["metadata"]["uid"] == born

    release("rollback", "chart-crds", 1)
    assert jobs.read()["metadata"]["uid"] == born


@pytest.mark.cluster
def test_jobs_survive_an_uninstall_and_are_taken_up_by_the_next_installation(
    cluster, charts, release, jobs, established
):
    _, present = charts
    release("install", "chart-crds", present)
    established(CRD)
    jobs.apply()
    born = jobs.read()["metadata"]["uid"]

    release("uninstall", "chart-crds")
    left = jobs.read()["metadata"]
    assert left["uid"] == born
    assert "deletionTimestamp" not in left
    kinds = "deployments,services,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings"
    selector = "app.kubernetes.io/instance=chart-crds"
    assert not cluster.kubectl("get", kinds, "-A", "-l", selector, "-o", "name").strip()

    with pytest.raises(CommandError, match="invalid ownership metadata"):
        release("install", "another", present)
    release("install", "chart-crds", present)
    assert jobs.read()["metadata"]["uid"] == born
    release("uninstall", "chart-crds")
    release("install", "another", present, "--take-ownership")
    assert jobs.read()["metadata"]["uid"] == born
