"""A cluster's life: up, looked at from outside, killed, up again on the same data, down without a trace."""

import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from distill_local.cluster import up
from distill_local.config import ClusterConfig, ClusterStatus
from distill_local.errors import LocalClusterError
from distill_local.files import locked
from distill_local.handle import Cluster
from distill_local.layout import ClusterPaths
from distill_local.lifecycle import cluster_names, down, is_running, supervisor_processes

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module", autouse=True)
def own_state_home(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("life")))
        yield


@pytest.fixture(scope="module")
def own_cluster(own_state_home):
    """A control plane without a node: what lives and dies here is the cluster itself."""
    with up("life", node=False, leash=True) as cluster:
        yield cluster


def everything_of(paths: ClusterPaths) -> list[psutil.Process]:
    """The supervisor, and every process in its namespaces."""
    return [p for parent in supervisor_processes(paths) for p in (parent, *parent.children(recursive=True))]


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_answers_through_the_kubeconfig_from_outside(own_cluster: Cluster):
    assert own_cluster.kubectl("get", "storageclass", "-o", "name") == "storageclass.storage.k8s.io/local\n"
    assert own_cluster.kubectl("get", "--raw", "/readyz") == "ok"


def test_nothing_of_it_is_visible_outside_its_namespaces(own_cluster: Cluster):
    listening = {c.laddr.port for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    assert own_cluster.config.api_port in listening
    assert not listening & {2379, 2380, 6443, 10257, 10259}
    assert str(own_cluster.paths.root) not in Path("/proc/self/mountinfo").read_text(encoding="utf-8")


def test_up_again_leaves_a_healthy_cluster_alone(own_cluster: Cluster):
    before = {p.pid for p in supervisor_processes(own_cluster.paths)}
    again = up("life", node=False)
    assert again == own_cluster
    assert {p.pid for p in supervisor_processes(own_cluster.paths)} == before


def test_a_component_that_dies_is_started_again(own_cluster: Cluster):
    scheduler = next(p for p in everything_of(own_cluster.paths) if p.name() == "kube-scheduler")
    scheduler.kill()
    wait_until(
        lambda: (
            (ClusterStatus.read(own_cluster.paths.status) or ClusterStatus()).restarts["kube-scheduler"] == 1
        )
    )
    wait_until(lambda: "kube-scheduler" in {p.name() for p in everything_of(own_cluster.paths)})


def test_killed_and_up_again_keeps_data_and_port(own_cluster: Cluster):
    own_cluster.kubectl("create", "configmap", "kept", "--from-literal=answer=42")
    processes = everything_of(own_cluster.paths)
    supervisor_processes(own_cluster.paths)[0].kill()
    psutil.wait_procs(processes, timeout=30)
    assert all(is_gone(process) for process in processes)
    again = up("life", node=False, leash=True)
    assert again.config == own_cluster.config
    assert again.kubectl("get", "configmap", "kept", "-o", "jsonpath={.data.answer}") == "42"


def test_two_side_by_side_and_down_leaves_nothing(own_cluster: Cluster):
    other = up("other", node=False, leash=True)
    other.kubectl("create", "namespace", "only-there")
    assert "only-there" not in own_cluster.kubectl("get", "namespaces", "-o", "name")
    assert cluster_names() == ["life", "other"]
    processes = everything_of(other.paths)
    assert {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"} <= {
        p.name() for p in processes
    }
    assert down("other")
    assert all(is_gone(process) for process in processes)
    assert port_is_free(other.config.api_port)
    assert not other.paths.root.exists()
    assert not other.paths.lock.exists()
    assert own_cluster.kubectl("get", "--raw", "/readyz") == "ok"


def has_begun(paths: ClusterPaths) -> bool:
    return bool((ClusterStatus.read(paths.status) or ClusterStatus()).steps)


def start_in_another_process(name: str, *, leash: bool, until=has_begun) -> subprocess.Popen[str]:
    """Call `up` in a process of its own and return it as soon as `until`; Ctrl-C reaches it even if it does not reach us."""
    paths = ClusterPaths.of(name)
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"from distill_local.cluster import up; up({name!r}, node=False, leash={leash})"
    )
    starting = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    wait_until(lambda: until(paths))
    return starting


@pytest.fixture
def taken_down():
    """Names of clusters that have no leash, taken down whatever the test comes to."""
    names: list[str] = []
    yield names
    for name in names:
        down(name)


def test_interrupted_up_stops_and_up_goes_on_even_if_its_port_was_taken_meanwhile(taken_down):
    taken_down.append("interrupted")
    paths = ClusterPaths.of("interrupted")
    starting = start_in_another_process("interrupted", leash=False)
    starting.send_signal(signal.SIGINT)
    _, said = starting.communicate(timeout=60)
    assert "KeyboardInterrupt" in said
    assert not is_running(paths)
    before = ClusterConfig.read(paths.config)
    assert before is not None
    with (
        socket.create_server(("127.0.0.1", before.api_port)),
        up("interrupted", node=False, leash=True) as cluster,
    ):
        assert cluster.config.api_port != before.api_port
        assert cluster.kubectl("get", "--raw", "/readyz") == "ok"


def test_killed_at_any_point_up_goes_on(taken_down):
    taken_down.append("killed")
    for until in (
        lambda paths: paths.lock.exists(),
        lambda paths: paths.config.exists(),
        lambda paths: paths.images.exists(),
        is_running,
        has_begun,
    ):
        starting = start_in_another_process("killed", leash=False, until=until)
        starting.kill()
        starting.communicate()
    cluster = up("killed", node=False, leash=True)
    assert cluster.kubectl("get", "--raw", "/readyz") == "ok"
    assert len(supervisor_processes(cluster.paths)) == 2  # unshare, and one supervisor inside


def test_down_while_up_ends_both(taken_down):
    taken_down.append("unwanted")
    paths = ClusterPaths.of("unwanted")
    starting = start_in_another_process("unwanted", leash=False)
    assert down("unwanted")
    _, said = starting.communicate(timeout=60)
    assert "was it told to, by `distill down`?" in said
    assert not is_running(paths)
    assert not paths.root.exists()
    assert not paths.lock.exists()


def test_a_lock_that_was_removed_meanwhile_is_taken_anew(tmp_path):
    path, order, waiting = tmp_path / "lock", [], threading.Event()

    def second():
        waiting.set()
        with locked(path):
            order.append("second")
            assert path.exists()

    with locked(path):
        thread = threading.Thread(target=second)
        thread.start()
        waiting.wait()
        order.append("first")
        path.unlink()
    thread.join()
    assert order == ["first", "second"]


def test_ends_with_the_process_that_held_its_leash():
    paths = ClusterPaths.of("leashed")
    starting = start_in_another_process("leashed", leash=True)
    starting.kill()
    starting.communicate()
    wait_until(lambda: not is_running(paths))
    assert down("leashed")


def test_up_says_which_component_cannot_start_and_why(tmp_path):
    paths = ClusterPaths.of("broken")
    paths.etcd.mkdir(parents=True)
    (paths.etcd / "member").write_text("not a folder", encoding="utf-8")
    with pytest.raises(
        LocalClusterError, match=r"^etcd ended 3 times \(.*\)\. Its log is .*/logs/etcd\.log and ends with:\n"
    ) as caught:
        up("broken", node=False, leash=True)
    assert "member" in str(caught.value)
    assert not is_running(paths)
    assert down("broken")


def wait_until(holds, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
