"""What one DistillationJob costs: how soon its check and its training Job exist, and with how many API requests.

`make bench-operator` runs it on a local cluster of its own, prints a table and writes build/bench/operator.json.
Times are from before the request that applies the job until a watch has told of the new Job: an upper bound. Not named
operator.py: a script's folder comes first on Python's path, and the standard library has a module of that name.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "operator"))

from cluster_world import digits, files_pod, files_written, make_spaces
from kubernetes import client, config, watch
from operator_process import WRITES, Jobs, Operator, until
from urllib3.exceptions import ProtocolError

from distill_api import GROUP, PLURAL, VERSION
from distill_local.cluster import up
from distill_local.handle import Cluster
from distill_local.lifecycle import down

OUT = Path("build/bench")
CRD = Path(__file__).parents[2] / "crds/distillationjobs.yaml"
JOBS, CHECKED = 50, 5
MOST_WRITES = 6
BARS = {"p99 of apply → check Job": 50.0, "writes until the training Job exists": 4, "reads": 0}
NOWHERE = {"gpusPerNode": 0, "template": {"nodeSelector": {"example.com/bench": "nowhere"}}}
"""Pods that no node takes: only the operator's own latency is measured, not Python's start on this machine."""
RUNNABLE = {"gpusPerNode": 0, "cpu": "100m", "memory": "1Gi"}
CONVERGED = 2.0
"""Seconds in which nothing was written: the operator is at rest."""


@dataclass
class Seen:
    """When a watch has told of each Job: by the DistillationJob's name and the role."""

    space: Jobs
    kubeconfig: Path
    at: dict[tuple[str, str], float] = field(default_factory=dict)
    _watch: watch.Watch = field(default_factory=watch.Watch)

    def __enter__(self) -> Seen:
        api = client.BatchV1Api(config.new_client_from_config(str(self.kubeconfig)))
        self._thread = threading.Thread(target=self._run, args=(api,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._watch.stop()

    def _run(self, api: client.BatchV1Api) -> None:
        with contextlib.suppress(ProtocolError):  # the cluster ends before the watch does
            for event in self._watch.stream(api.list_namespaced_job, self.space.namespace):
                now = time.monotonic()
                labels = event["raw_object"]["metadata"].get("labels", {})
                key = labels.get("distillation.dev/job", ""), labels.get("distillation.dev/role", "")
                self.at.setdefault(key, now)


def create(space: Jobs, name: str, resources: dict[str, object]) -> float:
    """Apply one job; the time before the request."""
    body = digits(name, resources=resources)
    begin = time.monotonic()
    space.api.create_namespaced_custom_object(GROUP, VERSION, space.namespace, PLURAL, body)
    return begin


def one_by_one(seen: Seen, prefix: str, count: int, role: str, resources: dict[str, object]) -> list[float]:
    """Milliseconds until the Job of `role` is seen, each job applied once the one before it has come so far."""
    times = []
    for index in range(count):
        name = f"{prefix}-{index}"
        begin = create(seen.space, name, resources)
        until(lambda name=name: (name, role) in seen.at, f"the {role} Job of {name}", pause=0.005)
        times.append((seen.at[name, role] - begin) * 1000)
    return times


def at_once(seen: Seen, prefix: str, count: int) -> list[float]:
    """The same for jobs that are applied without waiting."""
    begins = {f"{prefix}-{index}": create(seen.space, f"{prefix}-{index}", NOWHERE) for index in range(count)}
    until(lambda: all((name, "check") in seen.at for name in begins), "all check Jobs")
    return [(seen.at[name, "check"] - begin) * 1000 for name, begin in begins.items()]


def at_rest(operator: Operator) -> dict[tuple[str, str], int]:
    """Requests so far, where nothing has been written for a while."""

    def rested() -> dict[tuple[str, str], int] | None:
        before = operator.writes()
        time.sleep(CONVERGED)
        return operator.requests() if operator.writes() == before else None

    return until(rested, "the operator is at rest")


def writes_until_training(cluster: Cluster, spaces: list[Jobs], folder: Path) -> int | None:
    """With how many writes the training Job exists: operators that die with their first, second, … write."""
    for space in spaces:
        files_written(space)
    for writes, space in enumerate(spaces, 1):
        operator = Operator(cluster, folder, [space.namespace], crash_after=writes)
        try:
            create(space, "counted", RUNNABLE)
            operator.process.wait(timeout=240)
        finally:
            operator.kill()
        if space.all("jobs", "distillation.dev/job=counted,distillation.dev/role=train"):
            return writes
    return None


def percentile(times: list[float], share: float) -> float:
    """The smallest value that `share` of all do not exceed."""
    return sorted(times)[max(0, math.ceil(share * len(times)) - 1)]


def row(what: str, ours: float | None, unit: str, bar: float | None = None) -> dict[str, object]:
    """A row of operator.json; less is better, and there is no peer that does the same."""
    holds = None if bar is None else ours is not None and ours <= bar
    ours = None if ours is None else round(ours, 1)
    return {"what": what, "ours": ours, "peer": None, "unit": unit, "ratio": None, "bar": bar, "holds": holds}


def latency_rows(name: str, times: list[float], bar: float | None = None) -> list[dict[str, object]]:
    """Median and 99th percentile."""
    return [
        row(f"{name}, p50", percentile(times, 0.5), "ms"),
        row(f"{name}, p99", percentile(times, 0.99), "ms", bar),
    ]


def reads(before: dict[tuple[str, str], int], after: dict[tuple[str, str], int]) -> int:
    """Requests between two looks that were no writes."""
    keys = [key for key in after if key[0] not in WRITES]
    return sum(after[key] - before.get(key, 0) for key in keys)


def measure(cluster: Cluster, folder: Path) -> list[dict[str, object]]:
    """All rows."""
    cluster.kubectl("apply", "--server-side", "-f", str(CRD))
    cluster.kubectl("wait", "--for=condition=Established", "crd/distillationjobs.distillation.dev")
    space, *counted = make_spaces(cluster, 1 + MOST_WRITES)
    for one in (space, *counted):
        one.apply(files_pod(cluster))
    files_written(space)
    writes = writes_until_training(cluster, counted, folder)
    operator = Operator(cluster, folder, [space.namespace], DISTILL_RESYNC="3600")
    try:
        with Seen(space, cluster.kubeconfig) as seen:
            one_by_one(seen, "warm-up", 1, "check", NOWHERE)
            time.sleep(12)  # the list ten seconds after the start belongs to the start
            before = at_rest(operator)
            alone = one_by_one(seen, "alone", JOBS, "check", NOWHERE)
            after = at_rest(operator)
            together = at_once(seen, "together", JOBS)
            space.kubectl("delete", "dj", "--all", "--wait=true")
            checked = one_by_one(seen, "checked", CHECKED, "train", RUNNABLE)
    finally:
        operator.kill()
    return [
        *latency_rows(f"apply → check Job, {JOBS} jobs one by one", alone, BARS["p99 of apply → check Job"]),
        *latency_rows(f"apply → check Job, {JOBS} jobs at once", together),
        *latency_rows(f"apply → training Job, {CHECKED} jobs one by one, with the check itself", checked),
        row("writes until the training Job exists", writes, "requests", BARS["writes until the training Job exists"]),
        row(f"reads for {JOBS} jobs in the steady state", reads(before, after), "requests", BARS["reads"]),
    ]  # fmt: skip


def main() -> None:
    """Measure on a cluster of its own, print, write."""
    name = f"bench-operator-{os.getpid()}"
    with tempfile.TemporaryDirectory(prefix="distill-bench-") as scratch:
        os.environ["XDG_STATE_HOME"] = scratch
        try:
            rows = measure(up(name, leash=True), Path(scratch))
        finally:
            down(name)
    width = max(len(str(one["what"])) for one in rows)
    for one in rows:
        verdict = {None: "", True: f"≤ {one['bar']}: holds", False: f"≤ {one['bar']}: MISSED"}[one["holds"]]
        print(f"{one['what']:<{width}}  {one['ours']!s:>8} {one['unit']:<8}  {verdict}")
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "operator.json").write_text(json.dumps({"rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
