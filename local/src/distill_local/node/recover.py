"""What a node finds when it starts: containers of an earlier node, and what the API says of them.

The kernel ends a node's containers with it. So every container that the API shows as
running ended with the node, and is restarted or not as if it had been killed.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from distill_local.node.model import State, Terminated, View, Waiting, now, parse_timestamp
from distill_local.node.process import end_recorded
from distill_local.node.runner import PROCESS_RECORD

_ENDED_WITH_NODE = "The process node was restarted, and the processes of its pods ended with it"


def clear_leftovers(pods: Path, present: set[str]) -> None:
    """End what an earlier node may have left running; remove the folders of pods that are gone."""
    if not pods.is_dir():
        return
    for record in pods.glob(f"*/containers/*/{PROCESS_RECORD}"):
        end_recorded(record)
        record.unlink(missing_ok=True)
    for folder in pods.iterdir():
        if folder.name not in present:
            shutil.rmtree(folder, ignore_errors=True)


def _ended(state: dict[str, Any]) -> Terminated | None:
    if "running" in state:
        return Terminated(
            137, "Error", parse_timestamp(state["running"]["startedAt"]), now(), _ENDED_WITH_NODE
        )
    ended = state.get("terminated")
    if not ended:
        return None
    started = parse_timestamp(ended["startedAt"]) if ended.get("startedAt") else None
    finished = parse_timestamp(ended["finishedAt"]) if ended.get("finishedAt") else now()
    return Terminated(
        ended["exitCode"],
        ended.get("reason", "Error"),
        started,
        finished,
        ended.get("message", ""),
        ended.get("containerID", ""),
    )


def first_views(pod: dict[str, Any]) -> dict[str, View]:
    """Return the view of every container of a pod from which its life begins or goes on."""
    spec, status = pod["spec"], pod.get("status") or {}
    inits = spec.get("initContainers") or []
    known = {
        entry["name"]: entry
        for field in ("initContainerStatuses", "containerStatuses")
        for entry in status.get(field) or []
    }
    waiting = Waiting("PodInitializing" if inits else "ContainerCreating")
    views = {}
    for container in [*inits, *spec["containers"]]:
        name = container["name"]
        entry = known.get(name, {})
        state: State = _ended(entry.get("state") or {}) or waiting
        last = _ended(entry.get("lastState") or {})
        views[name] = View(
            name,
            container["image"],
            state,
            last,
            entry.get("restartCount", 0),
            container_id=entry.get("containerID", ""),
        )
    return views
