"""Why a pod does not start, in a word and a sentence that names the object and the remedy."""

from __future__ import annotations

import re
from dataclasses import dataclass

from distill_operator.decide.reasons import Reason
from distill_operator.observe import PodView

IMAGE = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
CANNOT_START = {"CreateContainerError", "RunContainerError", "CreatePodSandboxError"}
MISSING_CLAIM = re.compile(r'persistentvolumeclaim "(?P<name>[^"]+)" not found')
MISSING_OBJECT = re.compile(r'(?P<kind>secret|configmap) "(?P<name>[^"]+)" not found')
DETAIL = 300


@dataclass(frozen=True)
class Trouble:
    """What stands in the way."""

    reason: Reason
    message: str


def trouble(pod: PodView, image: str) -> Trouble | None:
    """What keeps a pending pod from starting; None while everything goes its way."""
    if pod.unschedulable:
        return _unscheduled(pod.unschedulable)
    if pod.waiting_reason in IMAGE:
        detail = f": {_short(pod.waiting_message)}" if pod.waiting_message else ""
        remedy = "correct resources.template.image, or make it available to the nodes"
        return Trouble(Reason.IMAGE_PULL_FAILED, f'image "{image}" cannot be pulled{detail}; {remedy}')
    missing = MISSING_OBJECT.search(pod.waiting_message.lower())
    if missing is not None:
        return _missing(missing["kind"], missing["name"])
    if pod.waiting_reason in CANNOT_START | {"CreateContainerConfigError"}:
        message = f"the container cannot start ({pod.waiting_reason}): {_short(pod.waiting_message)}"
        return Trouble(Reason.CONTAINER_CANNOT_START, message)
    return None


def _unscheduled(message: str) -> Trouble:
    claim = MISSING_CLAIM.search(message)
    if claim is not None:
        remedy = "create it, or correct the pvc:// URI that names it"
        return Trouble(
            Reason.VOLUME_NOT_FOUND, f'PersistentVolumeClaim "{claim["name"]}" does not exist; {remedy}'
        )
    if "unbound" in message.lower() and "persistentvolumeclaim" in message.lower():
        return Trouble(
            Reason.VOLUME_NOT_BOUND, f"a PersistentVolumeClaim has no volume yet: {_short(message)}"
        )
    return Trouble(Reason.UNSCHEDULABLE, _short(message).rstrip("."))


def _missing(kind: str, name: str) -> Trouble:
    if kind == "secret":
        return Trouble(
            Reason.SECRET_NOT_FOUND,
            f'Secret "{name}" (spec.dataset.secretRef) does not exist; create it in the job\'s namespace',
        )
    message = f'ConfigMap "{name}" does not exist; delete the training Job, and the operator writes both anew'
    return Trouble(Reason.CONFIG_MAP_NOT_FOUND, message)


def _short(message: str) -> str:
    line = " ".join(message.split())
    return line if len(line) <= DETAIL else line[: DETAIL - 1] + "…"
