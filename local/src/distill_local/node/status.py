"""A pod's status from the states of its containers, as a kubelet computes it: pure.

`pod` calls `pod_status` and writes the result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from distill_local.node.model import Running, State, Terminated, View, Waiting, is_sidecar, timestamp

_REPLACE = {
    "$patch": "replace"
}  # a strategic merge would keep the addresses of an earlier run beside the new one


@dataclass(frozen=True)
class PodFacts:
    """What the status says beside its containers; `ended` means that no process of the pod runs or will run."""

    host: str
    address: str | None
    started: datetime | None
    ended: bool = False
    failed_reason: str | None = None
    failed_message: str | None = None


def _state(state: State | None) -> dict[str, Any]:
    match state:
        case Waiting(reason, message):
            return {"waiting": {"reason": reason} | ({"message": message} if message else {})}
        case Running(started):
            return {"running": {"startedAt": timestamp(started)}}
        case Terminated():
            fields: dict[str, Any] = {"exitCode": state.exit_code, "reason": state.reason}
            if state.started:
                fields["startedAt"] = timestamp(state.started)
            if state.message:
                fields["message"] = state.message
            if state.container_id:
                fields["containerID"] = state.container_id
            return {"terminated": fields | {"finishedAt": timestamp(state.finished)}}
        case None:
            return {}


def container_status(view: View) -> dict[str, Any]:
    """Return the ContainerStatus of one container."""
    return {
        "name": view.name,
        "image": view.image,
        "imageID": view.image if view.container_id else "",
        "containerID": view.container_id,
        "ready": view.ready,
        "started": view.started,
        "restartCount": view.restarts,
        "state": _state(view.state),
        "lastState": _state(view.last),
    }


def phase(policy: str, views: Sequence[View], *, initialized: bool, ended: bool) -> str:
    """Return the phase of a pod from its main containers; `ended` as in PodFacts."""
    ends = [view.state for view in views if isinstance(view.state, Terminated)]
    if ended:
        return (
            "Succeeded" if len(ends) == len(views) and all(end.exit_code == 0 for end in ends) else "Failed"
        )
    if not initialized:
        return "Pending"
    if any(isinstance(view.state, Waiting) and view.last is None for view in views):
        return "Pending"  # a container has not run yet
    if len(ends) < len(views) or policy == "Always":
        return "Running"
    if all(end.exit_code == 0 for end in ends):
        return "Succeeded"
    return "Failed" if policy == "Never" else "Running"


def _condition(kind: str, fault: tuple[str, str] | None) -> dict[str, Any]:
    if fault is None:
        return {"type": kind, "status": "True", "reason": None, "message": None}
    return {"type": kind, "status": "False", "reason": fault[0], "message": fault[1]}


def _initialized(inits: Sequence[tuple[dict[str, Any], View]]) -> bool:
    return all(
        view.started if is_sidecar(spec) else isinstance(view.state, Terminated) and view.state.exit_code == 0
        for spec, view in inits
    )


def _unready(views: Sequence[View], current: str) -> tuple[str, str] | None:
    if current in {"Succeeded", "Failed"}:
        return ("PodCompleted" if current == "Succeeded" else "PodFailed"), ""
    names = [view.name for view in views if not view.ready]
    return ("ContainersNotReady", f"containers with unready status: [{' '.join(names)}]") if names else None


def _gates(pod: Mapping[str, Any]) -> tuple[str, str] | None:
    given = {c["type"]: c["status"] for c in (pod.get("status") or {}).get("conditions") or []}
    missing = [
        gate["conditionType"]
        for gate in pod["spec"].get("readinessGates") or []
        if given.get(gate["conditionType"]) != "True"
    ]
    if not missing:
        return None
    return (
        "ReadinessGatesNotReady",
        f'the status of pod readiness gate "{missing[0]}" is not "True", but False',
    )


def _conditions(
    pod: Mapping[str, Any], facts: PodFacts, views: Sequence[View], current: str, *, initialized: bool
) -> list[dict[str, Any]]:
    uninitialized = ("ContainersNotInitialized", "containers with incomplete status")
    containers = _unready(views, current)
    return [
        _condition("PodReadyToStartContainers", None if facts.address and not facts.ended else ("", "")),
        _condition("Initialized", None if initialized or current == "Succeeded" else uninitialized),
        _condition("ContainersReady", containers),
        _condition("Ready", containers or _gates(pod)),
        _condition("PodScheduled", None),
    ]


def _dated(pod: Mapping[str, Any], conditions: list[dict[str, Any]], at: datetime) -> list[dict[str, Any]]:
    """Keep the transition times of conditions whose status did not change."""
    before = {c["type"]: c for c in (pod.get("status") or {}).get("conditions") or []}
    result = []
    for condition in conditions:
        old = before.get(condition["type"], {})
        same = old.get("status") == condition["status"] and old.get("lastTransitionTime")
        result.append(
            condition | {"lastTransitionTime": old["lastTransitionTime"] if same else timestamp(at)}
        )
    return result


def pod_status(
    pod: Mapping[str, Any], views: Mapping[str, View], facts: PodFacts, at: datetime
) -> dict[str, Any]:
    """Return the body of a strategic merge patch of the pod's status."""
    spec = pod["spec"]
    inits = [(container, views[container["name"]]) for container in spec.get("initContainers") or []]
    mains = [views[container["name"]] for container in spec["containers"]]
    initialized = _initialized(inits)
    current = (
        "Failed"
        if facts.failed_reason
        else phase(spec.get("restartPolicy", "Always"), mains, initialized=initialized, ended=facts.ended)
    )
    status: dict[str, Any] = {
        "phase": current,
        "hostIP": facts.host,
        "hostIPs": [{"ip": facts.host}, _REPLACE],
        "reason": facts.failed_reason,
        "message": facts.failed_message,
        "qosClass": (pod.get("status") or {}).get("qosClass", "BestEffort"),
        "conditions": _dated(pod, _conditions(pod, facts, mains, current, initialized=initialized), at),
        "containerStatuses": [container_status(view) for view in mains],
    }
    if inits:
        status["initContainerStatuses"] = [container_status(view) for _, view in inits]
    if facts.address:
        status |= {"podIP": facts.address, "podIPs": [{"ip": facts.address}, _REPLACE]}
    if facts.started:
        status["startTime"] = timestamp(facts.started)
    return status
