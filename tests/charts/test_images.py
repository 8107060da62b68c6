"""Images: what each distribution brings along, and that none runs as root."""

import re
from importlib import metadata

import pytest
import yaml
from packaging.requirements import Requirement


def brought_along(distribution, extras):
    """Names of every distribution that installing this one installs."""
    found, waiting = set(), [(distribution, frozenset(extras))]
    while waiting:
        name, wanted = waiting.pop()
        if (name, wanted) in found:
            continue
        found.add((name, wanted))
        for line in metadata.requires(name) or []:
            needed = Requirement(line)
            marks = [{"extra": extra} for extra in wanted] or [{"extra": ""}]
            if needed.marker is None or any(needed.marker.evaluate(mark) for mark in marks):
                waiting.append((needed.name.lower(), frozenset(needed.extras)))
    return {name for name, _ in found}


def installed_by(target, dockerfile):
    """The distribution and extras that the stage which builds a target installs."""
    stage = re.search(rf"AS build-{target}\n(.*?)\n\n", dockerfile, re.DOTALL)[1]
    name, _, extras = re.search(r'"?\./(\w+)(\[([\w,]+)\])?', stage).groups()
    return f"distill-{name}", (extras or "").split(",") if extras else []


@pytest.fixture(scope="module")
def dockerfile(root):
    return (root / "Dockerfile").read_text()


@pytest.mark.parametrize(
    ("target", "has", "has_not"),
    [
        ("operator", {"kopf", "distill-api"}, {"torch", "numpy", "distill-trainer"}),
        ("trainer", {"torch", "transformers", "distill-api"}, {"kopf", "kubernetes", "distill-operator"}),
        ("server", {"torch", "kserve", "distill-api"}, {"kopf", "distill-operator"}),
    ],
)
def test_an_image_holds_what_it_runs_and_no_more(dockerfile, target, has, has_not):
    names = brought_along(*installed_by(target, dockerfile))
    assert has <= names
    assert not has_not & names


def stage_of(target, dockerfile):
    return re.search(rf"^FROM \w+ AS {target}\n(.*?)(?=^FROM|\Z)", dockerfile, re.DOTALL | re.MULTILINE)[1]


def test_the_trainer_alone_has_a_compiler(dockerfile):
    """`training.compile` needs one; others have no use for it."""
    having = [
        target
        for target in ("operator", "trainer", "server")
        if re.search(r"apt-get install [^&]*g\+\+", stage_of(target, dockerfile))
    ]
    assert having == ["trainer"]


@pytest.mark.parametrize("target", ["operator", "trainer", "server", "test"])
def test_no_image_runs_as_root(dockerfile, target):
    assert re.search(r"^USER 65532:65532$", stage_of(target, dockerfile), re.MULTILINE)


def test_the_laptops_gateway_is_reachable_from_the_laptop_alone(root):
    nodes = yaml.safe_load((root / "kind-config.yaml").read_text())["nodes"]
    ports = [port for node in nodes for port in node.get("extraPortMappings", [])]
    assert ports
    assert {port["listenAddress"] for port in ports} == {"127.0.0.1"}
    assert any("nvidia.com/gpu.present" in node.get("labels", {}) for node in nodes)
