"""The operator as a process of its own on a real control plane, where pods have addresses: in the cluster's network."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from kubernetes import client, config

from distill_api import GROUP, PLURAL, VERSION
from distill_local import layout
from distill_local.lifecycle import supervisor_processes

CRD = Path(__file__).resolve().parents[2] / "crds/distillationjobs.yaml"
WRITES = {"create", "patch", "update", "delete"}
FINAL = {"Succeeded", "Failed"}
PORTS = itertools.count(19700)
FAST = {
    "DISTILL_RESYNC": "5",
    "DISTILL_PROGRESS_POLL": "0.5",
    "DISTILL_STATUS_INTERVAL": "1",
    "DISTILL_LOG_LEVEL": "INFO",
    "DISTILL_METRICS_HOST": "127.0.0.1",
}


class Operator:
    """One process. `crash_after` ends it hard after so many writes to the API server; `settings` are its environment."""

    def __init__(self, cluster, folder: Path, namespaces, *, crash_after: int = 0, **settings: str):
        self.port = next(PORTS)
        self.log = folder / f"operator-{self.port}.log"
        self._prefix = inside(cluster)
        environment = (
            os.environ
            | FAST
            | {
                "KUBECONFIG": str(inner_kubeconfig(cluster, folder)),
                "DISTILL_NAMESPACES": ",".join(namespaces),
                "DISTILL_METRICS_PORT": str(self.port),
                "DISTILL_CRASH_AFTER_WRITE": str(crash_after),
            }
            | settings
        )
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [*self._prefix, sys.executable, "-m", "distill_operator"],
                env=environment,
                stdout=output,
                stderr=output,
            )

    def metrics(self) -> str:
        """The text of /metrics."""
        code = f"import urllib.request as r; print(r.urlopen('http://127.0.0.1:{self.port}/metrics').read().decode())"
        return subprocess.run(
            [*self._prefix, sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout

    def requests(self) -> dict[tuple[str, str], int]:
        """Requests so far, by verb and resource; none for what was never asked."""
        counts: dict[tuple[str, str], int] = {}
        for labels, value in re.findall(
            r"^distill_api_requests_total\{(.*)\} (\S+)$", self.metrics(), re.MULTILINE
        ):
            found = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            key = (found["verb"], found["resource"])
            counts[key] = counts.get(key, 0) + int(float(value))
        return {key: count for key, count in counts.items() if count}

    def writes(self) -> int:
        """Writes so far."""
        return sum(count for (verb, _), count in self.requests().items() if verb in WRITES)

    def kill(self) -> None:
        """SIGKILL: nothing is said, nothing is closed."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM, as a Deployment does; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


def define(cluster) -> None:
    """The CRD, served; `kubectl wait` fails on one that has no condition yet."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRD))
    until(lambda: _established(cluster), "the CRD is established")


def _established(cluster) -> bool:
    status = json.loads(cluster.kubectl("get", f"crd/{PLURAL}.{GROUP}", "-o", "json")).get("status", {})
    conditions = status.get("conditions") or []
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


def inside(cluster) -> list[str]:
    """The command that enters the network of the local cluster; nothing for a cluster that somebody else runs."""
    paths = getattr(cluster, "paths", None)
    if paths is None:
        return []
    inner = [process for process in supervisor_processes(paths) if "unshare" not in process.name()]
    return ["nsenter", "-t", str(inner[0].pid), "-U", "-n", "--preserve-credentials"]


def inner_kubeconfig(cluster, folder: Path) -> Path:
    """The admin's kubeconfig with the API server's address inside of the cluster's network."""
    if getattr(cluster, "paths", None) is None:
        return cluster.kubeconfig
    file = folder / "inner.kubeconfig"
    file.write_text(cluster.kubeconfig.read_text().replace(cluster.api_url, layout.API_URL))
    return file


class Jobs:
    """DistillationJobs and what belongs to them, in one namespace."""

    def __init__(self, cluster, namespace: str):
        self.cluster = cluster
        self.namespace = namespace
        # For what is asked again and again: a kubectl for each look would be most of the machine's work.
        self.api = client.CustomObjectsApi(config.new_client_from_config(str(cluster.kubeconfig)))

    def kubectl(self, *arguments, **options) -> str:
        return self.cluster.kubectl("-n", self.namespace, *arguments, **options)

    def apply(self, document) -> None:
        self.kubectl("apply", "-f", "-", stdin=json.dumps(document))

    def get(self, kind: str, name: str):
        return json.loads(self.kubectl("get", kind, name, "-o", "json"))

    def all(self, kind: str, selector: str = ""):
        return json.loads(self.kubectl("get", kind, "-l", selector, "-o", "json"))["items"]

    def job(self, name: str):
        """The DistillationJob."""
        return self.api.get_namespaced_custom_object(GROUP, VERSION, self.namespace, PLURAL, name)

    def phase(self, name: str) -> str:
        return self.job(name).get("status", {}).get("phase", "")

    def conditions(self, name: str):
        return {one["type"]: one for one in self.job(name)["status"]["conditions"]}

    def wait(self, name: str, *phases: str, seconds: float = 240) -> str:
        """Wait until the job is in one of `phases`; the phase."""

        def reached():
            phase = self.phase(name)
            if phase in FINAL and phase not in phases:
                raise AssertionError(
                    f"{name} is {phase}, not {phases}: {self.job(name)['status']['message']}"
                )
            return phase in phases and phase

        return until(reached, f"{name} in {phases}", seconds)


def until(true, what: str, seconds: float = 120, pause: float = 0.25):
    """Look until `true()` is; what it returned. The time is a bound on a hang, not a measurement."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = true()
        if found:
            return found
        time.sleep(pause)
    raise AssertionError(f"not within {seconds:g} s: {what}")
