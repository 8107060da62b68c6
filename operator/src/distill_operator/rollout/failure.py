"""Why a version is not Ready, in one sentence: from its pods first, then from what KServe says. Used by `observe`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from distill_api.contract import Outcome
from distill_operator.kinds import Object

LIMIT = 200


def trouble(inference_service: Object, pods: Iterable[Object]) -> str:
    """The most telling reason, or nothing where all is well or nothing is known yet."""
    pods = list(pods)
    for tell in (_ended, _waiting, _unschedulable):
        for pod in pods:
            text = tell(pod)
            if text:
                return _cut(text)
    return _cut(_kserve(inference_service))


def _ended(pod: Object) -> str:
    """A container that ended: OOMKilled, an exit code."""
    for status in _containers(pod):
        for state in (status.get("state") or {}, status.get("lastState") or {}):
            ended = state.get("terminated")
            if ended and (ended.get("exitCode") or ended.get("reason") == "OOMKilled"):
                return _ended_text(status["name"], ended, _memory_limit(pod, status["name"]))
    return ""


def _ended_text(container: str, ended: Object, limit: str) -> str:
    code = ended.get("exitCode")
    if ended.get("reason") == "OOMKilled":
        more = f", memory limit {limit}: raise serving.kserve.resources.memory" if limit else ""
        return f"container {container} was OOMKilled, exit code {code}{more}"
    said = _last_words(ended.get("message") or "")
    return f"container {container} ended with exit code {code}" + (f": {said}" if said else "")


def _last_words(message: str) -> str:
    """The sentence of a termination message: our server writes the contract's Outcome, others write lines."""
    try:
        return Outcome.model_validate_json(message).message
    except ValidationError:
        return (message.strip().splitlines() or [""])[-1]


def _waiting(pod: Object) -> str:
    """A container that cannot start: image, configuration."""
    for status in _containers(pod):
        waiting = (status.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") not in {None, "ContainerCreating", "PodInitializing"}:
            said = waiting.get("message")
            return f"container {status['name']}: {waiting['reason']}" + (f": {said}" if said else "")
    return ""


def _unschedulable(pod: Object) -> str:
    for condition in pod.get("status", {}).get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"{condition.get('reason', 'Unschedulable')}: {condition.get('message', '')}"
    return ""


def _kserve(inference_service: Object) -> str:
    status = inference_service.get("status") or {}
    failure = (status.get("modelStatus") or {}).get("lastFailureInfo") or {}
    if failure.get("message"):
        return f"{failure.get('reason', 'KServe')}: {failure['message']}"
    for condition in status.get("conditions") or []:
        if condition["type"] in {"PredictorReady", "Ready"} and condition["status"] == "False":
            said = condition.get("message") or ""
            return f"{condition.get('reason') or condition['type']}: {said}".rstrip(": ")
    return ""


def _containers(pod: Object) -> list[dict[str, Any]]:
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def _memory_limit(pod: Object, container: str) -> str:
    for spec in pod.get("spec", {}).get("containers") or []:
        if spec["name"] == container:
            return str((spec.get("resources") or {}).get("limits", {}).get("memory", ""))
    return ""


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LIMIT else text[: LIMIT - 1] + "…"
