"""What the chart makes of its values, without a cluster."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

CI_FILES = sorted((Path(__file__).parents[2] / "charts/distillation-operator/ci").glob("*.yaml"))
ALL_ON = CI_FILES[[file.name for file in CI_FILES].index("full-values.yaml")]
DIGEST = "sha256:" + "0" * 64


def container(deployment):
    return deployment["spec"]["template"]["spec"]["containers"][0]


def selects(selector, labels):
    return selector.items() <= labels.items()


@pytest.mark.parametrize("values", CI_FILES, ids=lambda file: file.stem)
def test_lint_finds_nothing(helm, chart, values):
    report = helm("lint", "--strict", chart, "--values", values)
    assert "[WARNING]" not in report
    assert "[ERROR]" not in report


@pytest.mark.parametrize("values", CI_FILES, ids=lambda file: file.stem)
def test_every_way_to_install_renders_distinct_objects(render, values):
    objects = render("--values", values)
    keys = [(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in objects]
    assert len(keys) == len(set(keys))
    assert all(o["metadata"]["labels"]["app.kubernetes.io/instance"] == "distill" for o in objects)


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("replica=2", "replica"),
        ("training.requireGPU=true", "requireGPU"),
        ("monitoring.serviceMonitor.enable=true", "enable"),
        ("image.operator.digest=latest", "digest"),
        ("replicas=0", "replicas"),
        ("serving.runtime.enabled=sometimes", "enabled"),
        ("logLevel=LOUD", "logLevel"),
    ],
)
def test_a_mistyped_value_is_refused_by_name(render, setting, named):
    with pytest.raises(subprocess.CalledProcessError) as refused:
        render("--set", setting)
    assert named in refused.value.stderr


def test_schema_and_values_know_the_same_names(chart):
    schema = json.loads((chart / "values.schema.json").read_text())
    values = yaml.safe_load((chart / "values.yaml").read_text())
    missing = []

    def compare(part, data, path):
        properties = part.get("properties")
        if properties is None:
            return
        assert part["additionalProperties"] is False, path
        missing.extend(f"{path}.{name}" for name in properties.keys() - data.keys())
        for name in properties.keys() & data.keys():
            assert properties[name]["description"], name
            compare(properties[name], data[name], f"{path}.{name}")

    compare(schema, values, "")
    assert missing == [".global"]


def test_a_digest_wins_over_the_tag(render, one):
    settings = f"image.registry=mirror.example.com,image.operator.tag=9,image.operator.digest={DIGEST}"
    deployment = one(render("--set-string", settings), "Deployment")
    assert container(deployment)["image"] == f"mirror.example.com/distillation/operator@{DIGEST}"


def test_the_service_and_the_monitor_find_the_operator(render, one):
    for release in ("distill", "a-name-of-its-own", "distillation-operator"):
        objects = render("--set", "monitoring.serviceMonitor.enabled=true", release=release)
        pod = one(objects, "Deployment")["spec"]["template"]
        service = one(objects, "Service")
        monitor = one(objects, "ServiceMonitor")
        assert selects(service["spec"]["selector"], pod["metadata"]["labels"])
        assert selects(monitor["spec"]["selector"]["matchLabels"], service["metadata"]["labels"])
        assert monitor["spec"]["namespaceSelector"]["matchNames"] == [service["metadata"]["namespace"]]
        ports = {port["name"] for port in service["spec"]["ports"]}
        assert monitor["spec"]["endpoints"][0]["port"] in ports


def test_monitors_and_dashboards_go_where_they_are_wanted(render):
    values = [
        "monitoring.serviceMonitor.enabled=true",
        "monitoring.podMonitor.enabled=true",
        "monitoring.dashboards.enabled=true",
        "monitoring.serviceMonitor.labels.release=kube-prometheus-stack",
        "monitoring.podMonitor.labels.release=kube-prometheus-stack",
        "monitoring.serviceMonitor.namespace=monitoring",
        "monitoring.podMonitor.namespace=monitoring",
        "monitoring.dashboards.namespace=grafana",
        "monitoring.dashboards.label=my_dashboard",
    ]
    objects = render("--set", ",".join(values))
    monitors = [o["metadata"] for o in objects if o["kind"] in {"ServiceMonitor", "PodMonitor"}]
    dashboards = [o["metadata"] for o in objects if o["kind"] == "ConfigMap"]
    assert {m["namespace"] for m in monitors} == {"monitoring"}
    assert {m["labels"]["release"] for m in monitors} == {"kube-prometheus-stack"}
    assert {d["namespace"] for d in dashboards} == {"grafana"}
    assert {d["labels"]["my_dashboard"] for d in dashboards} == {"1"}


def test_nothing_of_other_projects_is_made_unasked(render):
    groups = {o["apiVersion"].partition("/")[0] for o in render()}
    assert not groups & {"monitoring.coreos.com", "serving.kserve.io", "gateway.networking.k8s.io"}


def test_one_operator_gives_way_and_two_take_turns(render, one):
    alone, pair = (render("--set", f"replicas={count}") for count in (1, 2))
    assert one(alone, "Deployment")["spec"]["strategy"]["type"] == "Recreate"
    assert one(pair, "Deployment")["spec"]["strategy"]["type"] == "RollingUpdate"
    assert not [o for o in alone if o["kind"] == "PodDisruptionBudget"]
    budget = one(pair, "PodDisruptionBudget")
    labels = one(pair, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert selects(budget["spec"]["selector"]["matchLabels"], labels)


def test_the_serving_runtime_comes_with_kserve_alone(render, chart):
    if not (chart / "templates" / "clusterservingruntime.yaml").exists():
        pytest.skip("the chart has no serving runtime yet")
    api = "serving.kserve.io/v1alpha1/ClusterServingRuntime"
    kinds = [[o["kind"] for o in render(*arguments)] for arguments in ((), ("--api-versions", api))]
    assert "ClusterServingRuntime" not in kinds[0]
    assert "ClusterServingRuntime" in kinds[1]


def test_the_network_policy_keeps_the_metadata_address_out(render, one):
    policy = one(render("--values", ALL_ON), "NetworkPolicy")
    blocks = [to["ipBlock"] for rule in policy["spec"]["egress"] for to in rule.get("to", [])]
    everything = next(block for block in blocks if block["cidr"] == "0.0.0.0/0")
    assert "169.254.0.0/16" in everything["except"]
