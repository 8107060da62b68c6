"""Helm at work on the chart: rendering needs its program alone, the tests marked `cluster` an API server."""

import copy
import functools
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from distill_local.build import KUBE, ensure_program

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "distillation-operator"
NAMESPACE = "distillation-system"


@pytest.fixture(scope="session")
def helm():
    """Run Helm without a cluster; return its output, raise CalledProcessError with what it said."""
    program = ensure_program(KUBE, lambda _: None) / "helm"

    def run(*arguments):
        done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)
        if done.returncode:
            error = subprocess.CalledProcessError(done.returncode, done.args, done.stdout, done.stderr)
            error.add_note(done.stderr)
            raise error
        return done.stdout

    return run


@pytest.fixture(scope="session")
def render(helm):
    """Objects that the chart makes with these values."""

    @functools.cache
    def rendered(release, arguments):
        text = helm("template", release, CHART, "--namespace", NAMESPACE, *arguments)
        return [document for document in yaml.load_all(text, yaml.CSafeLoader) if document]

    return lambda *arguments, release="distill": copy.deepcopy(rendered(release, arguments))


@pytest.fixture(scope="session")
def one():
    """The only object of a kind, or the one whose name ends so."""

    def find(objects, kind, suffix=""):
        found = [o for o in objects if o["kind"] == kind and o["metadata"]["name"].endswith(suffix)]
        assert len(found) == 1, f"{len(found)} objects of kind {kind} named …{suffix}"
        return found[0]

    return find


@pytest.fixture(scope="session")
def chart():
    return CHART


@pytest.fixture(scope="session")
def root():
    return ROOT


@pytest.fixture(scope="session")
def third_party_crds():
    """Folder with the CustomResourceDefinitions of KServe and the Prometheus Operator."""
    named = os.environ.get("DISTILL_THIRD_PARTY_CRDS")
    folder = Path(named) if named else None
    if folder is None or not folder.is_dir():
        pytest.skip(
            "set DISTILL_THIRD_PARTY_CRDS to a folder with the CRDs of KServe and the Prometheus Operator"
        )
    return folder
