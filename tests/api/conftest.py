"""The good YAML, a way to spoil it, and a namespace of the real API server with the CRD in it."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from distill_local.handle import CommandError

ROOT = Path(__file__).resolve().parents[2]
CRD = ROOT / "crds/distillationjobs.yaml"

DIGITS = """
apiVersion: distillation.dev/v1alpha1
kind: DistillationJob
metadata:
  name: digits
spec:
  task: ImageClassification
  teacher: {builtin: {name: convnet-large}, weights: {uri: pvc://models/digits-teacher.safetensors}}
  student: {builtin: {name: convnet-small}}
  dataset: {builtin: {name: digits}}
  objective: {alpha: 0.1, temperature: 4}        # L = α·CE + (1−α)·T²·KL
  training: {epochs: 30}
  output: {uri: pvc://models/students/digits}
  resources: {gpusPerNode: 1}
  gate: {metric: accuracy, maxDropVsTeacher: 0.02}
  serving: {kserve: {inferenceService: digits}}
"""

Patch = dict[str, Any]
REMOVED = "(removed)"
"""As a value in a patch: the field is taken away."""


def patched(document: dict[str, Any], changes: Patch) -> dict[str, Any]:
    """A copy of `document` with `spec.a.b`-like paths set to new values, or taken away."""
    result = copy.deepcopy(document)
    for path, value in changes.items():
        *parents, last = path.split(".")
        holder = result
        for step in parents:
            holder = holder.setdefault(step, {})
        if value == REMOVED:
            del holder[last]
        else:
            holder[last] = value
    return result


@pytest.fixture
def digits() -> dict[str, Any]:
    """The smallest job of the documentation, as it stands there."""
    return yaml.safe_load(DIGITS)


@pytest.fixture
def spoil(digits: dict[str, Any]) -> Callable[[Patch], dict[str, Any]]:
    """The good job with a patch applied, under a name that no test stores."""
    return lambda changes: patched(digits, {"metadata.name": "spoilt", **changes})


@dataclass(frozen=True)
class Api:
    """The real API server, as a user with kubectl sees it."""

    cluster: Any
    namespace: str

    def kubectl(self, *arguments: str, document: dict[str, Any] | str | None = None) -> str:
        """kubectl in the test's namespace, with `document` on its standard input."""
        text = document if isinstance(document, str) or document is None else yaml.safe_dump(document)
        return self.cluster.kubectl("--namespace", self.namespace, *arguments, stdin=text)

    def apply(self, document: dict[str, Any] | str, *options: str) -> dict[str, Any]:
        """`kubectl apply` and the object that the server then holds."""
        return yaml.safe_load(self.kubectl("apply", "-f", "-", "-o", "yaml", *options, document=document))

    def refusal(self, document: dict[str, Any], *options: str) -> str:
        """What the user reads when `kubectl apply` fails; the test fails when it does not."""
        try:
            self.apply(document, *options)
        except CommandError as error:
            return error.stderr
        pytest.fail("the API server accepted it")

    def refusals(self, documents: list[dict[str, Any]], *options: str) -> dict[str, str]:
        """What the user reads about each of `documents` (by name) that the server refuses, from one `kubectl apply`."""
        text = yaml.safe_dump_all(documents)
        try:
            self.kubectl("apply", "-f", "-", *options, document=text)
        except CommandError as error:
            parts = re.split(r'^.*DistillationJob\S* "(\S+?)" is invalid: ', error.stderr, flags=re.MULTILINE)
            return dict(zip(parts[1::2], parts[2::2], strict=True))
        return {}


@pytest.fixture(scope="session")
def crd_cluster(cluster: Any, established: Callable[..., None]) -> Any:
    """The session's cluster with our CRD established."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRD))
    established("distillationjobs.distillation.dev")
    return cluster


@pytest.fixture(scope="session")
def dry(crd_cluster: Any) -> Api:
    """The same where nothing is to be stored: every apply is a server-side dry run, which needs no namespace of its own."""
    return Api(crd_cluster, "default")


@pytest.fixture
def api(crd_cluster: Any, namespace: str) -> Api:
    """kubectl on the real API server, in a namespace of this test."""
    return Api(crd_cluster, namespace)


@pytest.fixture(scope="session")
def digits_text() -> str:
    """The same job as text, comments and all."""
    return DIGITS


@pytest.fixture(scope="session")
def change() -> Callable[[dict[str, Any], Patch], dict[str, Any]]:
    """`patched`, for tests that apply one job several times."""
    return patched


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the checkout."""
    return ROOT
