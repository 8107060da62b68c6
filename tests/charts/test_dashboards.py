"""Dashboards work in any Grafana, ask for metrics that exist, and are what their code builds."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from distill_api.status import Losses

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "charts/distillation-operator/dashboards").glob("*.json"))
METRIC = re.compile(r"\bdistill_[a-z0-9_]+")
VARIABLES = {"datasource", "namespace", "job"}
BY_NAMESPACE = {"distill_gpu_seconds_total"}
"""A namespace's series begins at 0 with its first job, before a pod of it has a GPU."""
pytestmark = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def panels(path):
    return [panel for panel in json.loads(path.read_text())["panels"] if panel["type"] != "row"]


def queries(path):
    return [target["expr"] for panel in panels(path) for target in panel["targets"]]


def series(text):
    """Names of the series in a text that Prometheus scrapes, also of those without a value yet."""
    names = set()
    for family in text_string_to_metric_families(text):
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(family.type, [""])
        names |= {family.name + suffix for suffix in suffixes}
    return names


def operators_series():
    metrics = pytest.importorskip("distill_operator.metrics")
    return series(metrics.Metrics().exposition().decode())


def trainers_series():
    progress = pytest.importorskip("distill_trainer.progress")
    exposition = pytest.importorskip("distill_trainer.exposition")
    board = progress.ProgressBoard()
    board.begin(step=0, total_steps=2, epochs=1)
    board.steps(step=1, epoch=1, samples=8, losses=Losses(total=1, task=1, distillation=1))
    board.metrics(student=0.9, teacher=0.9)
    return series(exposition.exposition(board, "accuracy").decode())


def students_series():
    metrics = pytest.importorskip("distill_server.metrics")
    registry = CollectorRegistry()
    metrics.StudentMetrics("digits", registry)
    return series(generate_latest(registry).decode())


def test_code_and_file_agree(path):
    done = subprocess.run(
        [sys.executable, ROOT / "charts/dashboards", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_any_prometheus_will_do(path):
    text = path.read_text()
    assert "__inputs" not in text
    assert "${DS_" not in text
    for panel in panels(path):
        for source in [panel["datasource"], *(target["datasource"] for target in panel["targets"])]:
            assert source == {"type": "prometheus", "uid": "${datasource}"}


def test_each_panel_explains_itself(path):
    document = json.loads(path.read_text())
    assert len({panel["id"] for panel in document["panels"]}) == len(document["panels"])
    for panel in panels(path):
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        letters = [target["refId"] for target in panel["targets"]]
        assert all(letters), panel["title"]
        assert len(letters) == len(set(letters)), panel["title"]


def test_variables_are_declared_and_used(path):
    document = json.loads(path.read_text())
    assert {variable["name"] for variable in document["templating"]["list"]} == VARIABLES
    used = set(re.findall(r"\$\{?([a-z]\w*)", path.read_text()))
    assert used == VARIABLES


def test_rates_look_back_as_far_as_scrapes_are_apart(path):
    """Only a sum over all that is shown looks back as far as that."""
    for panel in panels(path):
        wanted = "$__range" if panel["title"].endswith("hours") else "$__rate_interval"
        for target in panel["targets"]:
            for window in re.findall(r"\[([^\]]+)\]", target["expr"]):
                assert window == wanted, target["expr"]


def test_what_is_counted_in_the_fleet_is_counted_from_0(path):
    """`increase()` does not see the first event of a series that is born with it: no label may come later."""
    metrics = pytest.importorskip("distill_operator.metrics")
    families = text_string_to_metric_families(metrics.Metrics().exposition().decode())
    samples = [sample for family in families for sample in family.samples]
    counted = [
        (name, dict(re.findall(r'(\w+)="([^"$]+)"', labels or "")))
        for query in queries(path)
        for name, labels in re.findall(r"(?:rate|increase)\((\w+)(?:\{([^}]*)\})?\[", query)
        if re.match("distill_(?!train_|eval_|student_)", name) and name not in BY_NAMESPACE
    ]
    assert counted
    for name, labels in counted:
        assert [s for s in samples if s.name == name and labels.items() <= s.labels.items()], (name, labels)


def test_brackets_close(path):
    pairs = {")": "(", "]": "[", "}": "{"}
    for query in queries(path):
        open_brackets = []
        for character in query:
            if character in pairs.values():
                open_brackets.append(character)
            elif character in pairs:
                assert open_brackets, query
                assert open_brackets.pop() == pairs[character], query
        assert not open_brackets, query


@pytest.mark.parametrize(
    ("prefix", "exposed"),
    [
        ("distill_(?!train_|eval_|student_)", operators_series),
        ("distill_(train|eval)_", trainers_series),
        ("distill_student_", students_series),
    ],
    ids=["operator", "trainer", "student"],
)
def test_every_metric_exists(path, prefix, exposed):
    asked = {name for name in METRIC.findall(path.read_text()) if re.match(prefix, name)}
    assert asked
    assert asked <= exposed()
