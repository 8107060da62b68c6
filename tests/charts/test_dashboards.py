"""Dashboards work in any Grafana, ask for metrics that exist, and are what their code builds."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "charts/distillation-operator/dashboards").glob("*.json"))
METRIC = re.compile(r"\bdistill_[a-z0-9_]+")
VARIABLES = {"datasource", "namespace", "job"}
pytestmark = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def panels(path):
    return [panel for panel in json.loads(path.read_text())["panels"] if panel["type"] != "row"]


def queries(path):
    return [target["expr"] for panel in panels(path) for target in panel["targets"]]


def registered():
    """Names of all series of the operator, the trainer and the student's server, as far as they are there."""
    collectors = pytest.importorskip("distill_operator.metrics").Metrics().registry.collect()
    names = set()
    for family in collectors:
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(family.type, [""])
        names |= {family.name + suffix for suffix in suffixes}
    return names


def named_in_sources(*folders):
    """Metric names that stand in the source; the trainer's registry would import torch."""
    text = "\n".join(path.read_text() for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return {match.group() for match in METRIC.finditer(text)}


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
    for query in queries(path):
        for window in re.findall(r"\[([^\]]+)\]", query):
            assert window == "$__rate_interval", query


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


def test_the_operators_metrics_exist(path):
    foreign = re.compile(r"distill_(train|eval|student)_")
    asked = {name for name in METRIC.findall(path.read_text()) if not foreign.match(name)}
    assert asked <= registered()


@pytest.mark.parametrize(
    ("prefix", "folder"),
    [
        ("distill_train_|distill_eval_", "trainer/src/distill_trainer"),
        ("distill_student_", "trainer/src/distill_server"),
    ],
)
def test_the_pods_metrics_exist(path, prefix, folder):
    asked = {name for name in METRIC.findall(path.read_text()) if re.match(prefix, name)}
    named = named_in_sources(folder, "crds/src")
    if not any(re.match(prefix, name) for name in named):
        pytest.skip(f"{folder} registers no metric yet")
    assert asked <= named | {name.removesuffix("_total") + "_total" for name in named}
