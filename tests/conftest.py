"""Fixtures that every test may use: one local cluster for each worker of a run, with or without KServe, and a namespace for each test.

With DISTILL_TEST_KUBECONFIG the tests run on the cluster of that kubeconfig instead; those that need the local one are skipped.
"""

import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from distill_local.build import KUBE, ensure_program
from distill_local.cluster import up
from distill_local.handle import Cluster, CommandError, run_program
from distill_local.lifecycle import down


@dataclass(frozen=True)
class GivenCluster:
    """A cluster that somebody else runs, with the part of `Cluster` that does not need it to be ours."""

    kubeconfig: Path

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return run_program(ensure_program(KUBE, print) / "kubectl", arguments, self.environment(), stdin)

    def helm(self, *arguments: str, stdin: str | None = None) -> str:
        return run_program(ensure_program(KUBE, print) / "helm", arguments, self.environment(), stdin)

    def environment(self) -> dict[str, str]:
        return os.environ | {"KUBECONFIG": str(self.kubeconfig)}


def _given_cluster() -> GivenCluster | None:
    given = os.environ.get("DISTILL_TEST_KUBECONFIG")
    return GivenCluster(Path(given)) if given else None


@pytest.fixture(scope="session")
def cluster_name() -> str:
    """A name that no other run and no other worker of this run has."""
    return f"test-{os.getpid()}-{secrets.token_hex(2)}"


@pytest.fixture(scope="session")
def _state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the clusters of a test run out of the user's own list of clusters."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def _session_cluster(
    request: pytest.FixtureRequest, cluster_name: str, _state_home: None
) -> Iterator[Cluster]:
    """The one cluster of this process: with KServe from the start if any test of the run needs it."""
    kserve = any("kserve_cluster" in getattr(item, "fixturenames", ()) for item in request.session.items)
    # The leash ends the cluster with this process, should the run be killed before its teardown.
    try:
        yield up(cluster_name, kserve=kserve, gpus=4, leash=True)
    finally:
        down(cluster_name)


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Cluster | GivenCluster:
    """A cluster with a node: the local one, or the one of DISTILL_TEST_KUBECONFIG."""
    given = _given_cluster()
    if given is not None:
        return given
    local: Cluster = request.getfixturevalue("_session_cluster")
    return local


@pytest.fixture(scope="session")
def kserve_cluster(request: pytest.FixtureRequest) -> Cluster:
    """The local cluster with KServe and its gateway."""
    if _given_cluster() is not None:
        pytest.skip("needs the gateway of the local cluster; unset DISTILL_TEST_KUBECONFIG to run it")
    local: Cluster = request.getfixturevalue("_session_cluster")
    return local


@pytest.fixture(scope="session")
def established(cluster):
    """Wait until the API server serves these kinds; `kubectl wait` fails on an object that has no condition yet."""

    def wait(*names):
        for _ in range(60):
            try:
                cluster.kubectl("wait", "--for=condition=Established", *(f"crd/{name}" for name in names))
            except CommandError as error:
                refused = error
                time.sleep(0.5)
            else:
                return
        raise refused

    return wait


@pytest.fixture
def namespace(cluster: Cluster | GivenCluster) -> Iterator[str]:
    """A namespace of the test's own, deleted afterwards (nobody waits until it is gone)."""
    name = f"t-{secrets.token_hex(4)}"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")
