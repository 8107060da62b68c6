"""Bring a local cluster up: what `distill up`, the demo and the tests call.

Idempotent: a healthy cluster is left alone, one that is starting is waited for, and one that is half dead, or was asked for with other
settings, is started anew on the same data.
"""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
import yaml

from distill_local import layout, pki
from distill_local.build import KSERVE, KUBE, Program, Progress, ensure_program
from distill_local.components import inner_kubeconfig
from distill_local.config import ClusterConfig, ClusterStatus, Step
from distill_local.errors import LocalClusterError
from distill_local.files import last_lines, locked
from distill_local.handle import Cluster
from distill_local.kubeconfig import write_kubeconfig
from distill_local.layout import ClusterPaths
from distill_local.lifecycle import (
    SUPERVISOR_MODULE,
    is_running,
    own_children,
    still_runs,
    stop,
    supervisor_processes,
)
from distill_local.namespaces import UNSHARE, require_namespaces
from distill_local.pki import Pki, ensure_pki

Report = Callable[[tuple[Step, ...], str], None]
"""Called often while a cluster comes up, with the steps so far and a line of detail about the last one (often empty)."""

_POLL_SECONDS = 0.05
_BACKLOG = 128
_IMAGE_USER = 65532  # as the Dockerfile's USER, so that runAsNonRoot means the same here
_INNER_IDENTITIES = (pki.CONTROLLER_MANAGER, pki.SCHEDULER, pki.NODE, pki.GATEWAY, pki.KSERVE)

# The write ends of pipes whose read ends supervisors hold: they close when this process ends, however it ends.
_leashes: list[int] = []


def _silent(steps: tuple[Step, ...], detail: str) -> None:
    """Report nothing."""


def up(
    name: str = "demo",
    *,
    kserve: bool = False,
    gpus: int = 4,
    node: bool = True,
    leash: bool = False,
    report: Report = _silent,
) -> Cluster:
    """Return the cluster `name`, up and healthy; raise LocalClusterError if it cannot be brought up.

    `kserve` adds the gateway and KServe, `gpus` is how many the node says it has, `node=False` leaves the node out.
    With `leash` the cluster's processes end with the calling process.
    """
    paths = ClusterPaths.of(name)
    require_namespaces()
    steps: tuple[Step, ...] = ()
    programs, steps = _build(KUBE, steps, report)
    kserve_programs = Path()
    if kserve:
        kserve_programs, steps = _build(KSERVE, steps, report)
    with locked(paths.lock):
        present = ClusterConfig.read(paths.config)
        wanted = _wanted(
            present,
            name,
            kserve=kserve,
            gpus=gpus,
            node=node,
            programs=programs,
            kserve_programs=kserve_programs,
        )
        if present == wanted and is_running(paths) and _is_well(paths, wanted):
            return Cluster(wanted, paths)
        if present != wanted or not _is_starting(paths):
            stop(paths)
            wanted = _start(paths, wanted, leash=leash)
        _wait_until_ready(paths, steps, report)
    return Cluster(wanted, paths)


def _wanted(
    present: ClusterConfig | None,
    name: str,
    *,
    kserve: bool,
    gpus: int,
    node: bool,
    programs: Path,
    kserve_programs: Path,
) -> ClusterConfig:
    """Return the settings that are wanted, on the ports that the cluster had before."""
    return ClusterConfig(
        name=name,
        kserve=kserve,
        node=node,
        gpus=gpus,
        programs=str(programs),
        kserve_programs=str(kserve_programs),
        api_port=present.api_port if present else 0,
        gateway_port=present.gateway_port if present else 0,
        metrics_port=present.metrics_port if present else 0,
    )


def _build(program: Program, steps: tuple[Step, ...], report: Report) -> tuple[Path, tuple[Step, ...]]:
    """Return the program's folder and the steps, with one more if it had to be built."""
    title = f"build of {program.name} (once)"
    begun: list[float] = []

    def progressed(progress: Progress) -> None:
        if not begun:
            begun.append(time.time())
        report((*steps, Step(title, begun[0])), str(progress))

    folder = ensure_program(program, progressed)
    return folder, (*steps, Step(title, begun[0], time.time())) if begun else steps


def _is_starting(paths: ClusterPaths) -> bool:
    status = ClusterStatus.read(paths.status)
    return is_running(paths) and (status is None or status.phase == "starting")


def _is_well(paths: ClusterPaths, config: ClusterConfig) -> bool:
    """Return whether the supervisor says `ready` and the API server says so too, through the relay."""
    status = ClusterStatus.read(paths.status)
    return status is not None and status.phase == "ready" and api_is_ready(paths, config)


def api_is_ready(paths: ClusterPaths, config: ClusterConfig) -> bool:
    """Return whether the API server answers /readyz with success on its port outside."""
    url = f"https://127.0.0.1:{config.api_port}/readyz"
    context = Pki(paths.pki).client_context(pki.ADMIN)
    try:
        with urllib.request.urlopen(url, timeout=5, context=context) as answer:  # the URL is ours
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _start(paths: ClusterPaths, config: ClusterConfig, *, leash: bool) -> ClusterConfig:
    """Write everything the supervisor reads, start it, and return the settings with the ports that were bound."""
    paths.logs.mkdir(parents=True, exist_ok=True)
    paths.root.chmod(0o700)
    paths.status.unlink(missing_ok=True)
    listeners = [_bind(config.api_port)]
    if config.kserve:
        listeners += [_bind(config.gateway_port), _bind(config.metrics_port)]
    config = _with_ports(config, [listener.getsockname()[1] for listener in listeners])
    config.write(paths.config)
    _write_inputs(paths, config)
    _spawn(paths, listeners, leash=leash)
    for listener in listeners:
        listener.close()
    return config


def _with_ports(config: ClusterConfig, ports: list[int]) -> ClusterConfig:
    api, gateway, metrics = ports if config.kserve else (ports[0], config.gateway_port, config.metrics_port)
    return config.with_ports(api, gateway, metrics)


def _bind(port: int) -> socket.socket:
    """Return a socket that listens on 127.0.0.1 at `port`, or at a free one if that is taken or 0."""
    for candidate in (port, 0):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", candidate))
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
        else:
            return listener
    msg = "No port is free on 127.0.0.1: end a program that holds many, and try again."
    raise LocalClusterError(msg)


def _write_inputs(paths: ClusterPaths, config: ClusterConfig) -> None:
    keys = ensure_pki(paths.pki)
    write_kubeconfig(paths.kubeconfig, config.name, f"https://127.0.0.1:{config.api_port}", keys, pki.ADMIN)
    for identity in _INNER_IDENTITIES:
        write_kubeconfig(inner_kubeconfig(paths, identity), config.name, layout.API_URL, keys, identity)
    _write_webhook_certificate(paths.kserve_tmp, keys)
    paths.node.mkdir(exist_ok=True)
    paths.images.write_text(yaml.safe_dump(image_commands(sys.executable)), encoding="utf-8")


def _write_webhook_certificate(folder: Path, keys: Pki) -> None:
    """Put the webhook's certificate where KServe's controller looks for it below its temporary folder."""
    target = folder / "k8s-webhook-server" / "serving-certs"
    target.mkdir(parents=True, exist_ok=True)
    (target / "tls.crt").write_bytes(keys.certificate(pki.KSERVE_WEBHOOK).read_bytes())
    (target / "tls.key").write_bytes(keys.key(pki.KSERVE_WEBHOOK).read_bytes())


def image_commands(python: str) -> dict[str, dict[str, object]]:
    """Return which command the process node runs for each image repository; `distillation/test` has none of its own."""
    modules = {"operator": "distill_operator", "trainer": "distill_trainer", "server": "distill_server"}
    table: dict[str, dict[str, object]] = {
        f"distillation/{image}": {
            "command": [python, "-m", module],
            "user": _IMAGE_USER,
            "group": _IMAGE_USER,
        }
        for image, module in modules.items()
    }
    return table | {"distillation/test": {"command": []}}


def _spawn(paths: ClusterPaths, listeners: list[socket.socket], *, leash: bool) -> None:
    descriptors = [listener.fileno() for listener in listeners]
    # The order matters to `lifecycle.supervisor_processes`, which knows a supervisor by this command line.
    command = [*UNSHARE, sys.executable, "-m", SUPERVISOR_MODULE, "--state", str(paths.root)]
    for descriptor in descriptors:
        command += ["--fd", str(descriptor)]
    read_end = None
    if leash:
        read_end, write_end = os.pipe()
        _leashes.append(write_end)
        descriptors.append(read_end)
        command += ["--leash", str(read_end)]
    with (paths.logs / "supervisor.log").open("ab") as output:
        started = subprocess.Popen(
            command,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            pass_fds=descriptors,
        )
    own_children.append(started)
    if read_end is not None:
        os.close(read_end)


def _wait_until_ready(paths: ClusterPaths, steps: tuple[Step, ...], report: Report) -> None:
    """Follow the supervisor's status until `ready`; on failure or Ctrl-C end what was started, and keep its data and logs."""
    try:
        processes = supervisor_processes(paths)
        while not _has_got_ready(paths, processes, steps, report):
            time.sleep(_POLL_SECONDS)
    except BaseException:
        stop(paths)
        raise


def _has_got_ready(
    paths: ClusterPaths, processes: list[psutil.Process], steps: tuple[Step, ...], report: Report
) -> bool:
    running = any(
        still_runs(process) for process in processes
    )  # before its last words are read, so that none are missed
    status = ClusterStatus.read(paths.status) or ClusterStatus()
    report((*steps, *status.steps), "")
    if status.phase == "failed":
        raise LocalClusterError(status.error)
    if status.phase == "starting" and not running:
        raise _supervisor_ended(paths)
    return status.phase == "ready"


def _supervisor_ended(paths: ClusterPaths) -> LocalClusterError:
    log = paths.logs / "supervisor.log"
    lines = "\n".join(f"    {line}" for line in last_lines(log, 5))
    return LocalClusterError(
        f"The cluster's supervisor ended before it was ready; was it told to, by `distill down`? Its log is {log} and ends with:\n{lines}"
    )
