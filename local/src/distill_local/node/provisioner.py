"""The StorageClass provisioner `distillation.dev/folder`: a volume is a folder, made on demand.

`__main__` runs `run`. A claim gets a PersistentVolume at <state>/volumes/<namespace>/<claim>;
the folder goes when the volume is released and its reclaim policy is Delete.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distill_local.node.api import Api, ApiError
from distill_local.node.settings import Settings
from distill_local.node.watch import FAULTS, changes

_log = logging.getLogger(__name__)
PROVISIONER = "distillation.dev/folder"
_PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
_SELECTED_NODE = "volume.kubernetes.io/selected-node"
_RETRY_SECONDS = 1.0


def wants_volume(claim: dict[str, Any], storage_class: dict[str, Any], node: str) -> bool:
    """Tell whether a claim is ours to serve now."""
    spec, metadata = claim["spec"], claim["metadata"]
    if (
        spec.get("volumeName")
        or metadata.get("deletionTimestamp")
        or storage_class["provisioner"] != PROVISIONER
    ):
        return False
    if storage_class.get("volumeBindingMode") != "WaitForFirstConsumer":
        return True
    return (metadata.get("annotations") or {}).get(_SELECTED_NODE) == node


def folder_of(claim: dict[str, Any], volumes: Path) -> Path:
    """Return the folder of a claim."""
    metadata = claim["metadata"]
    return volumes / str(metadata["namespace"]) / str(metadata["name"])


def volume_for(
    claim: dict[str, Any], storage_class: dict[str, Any], folder: Path, node: str
) -> dict[str, Any]:
    """Return the PersistentVolume for a claim."""
    metadata, spec = claim["metadata"], claim["spec"]
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"pvc-{metadata['uid']}", "annotations": {_PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "accessModes": spec["accessModes"],
            "storageClassName": storage_class["metadata"]["name"],
            "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy", "Delete"),
            "volumeMode": "Filesystem",
            "local": {"path": str(folder)},
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}
            | {key: metadata[key] for key in ("name", "namespace", "uid")},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        },
    }


def is_released(volume: dict[str, Any]) -> bool:
    """Tell whether a volume is ours to remove."""
    annotations = volume["metadata"].get("annotations") or {}
    return (
        annotations.get(_PROVISIONED_BY) == PROVISIONER
        and volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
        and (volume.get("status") or {}).get("phase") == "Released"
        and not volume["metadata"].get("deletionTimestamp")
    )


@dataclass
class Provisioner:
    """Serves claims and removes released volumes."""

    api: Api
    settings: Settings
    _retries: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self) -> None:
        """Follow claims and volumes for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._claims())
            group.create_task(self._volumes())

    async def _claims(self) -> None:
        async for kind, claim in changes(self.api, "/api/v1/persistentvolumeclaims"):
            if (
                kind != "DELETED"
                and not claim["spec"].get("volumeName")
                and claim["spec"].get("storageClassName")
            ):
                self._keep_trying(claim)

    def _keep_trying(self, claim: dict[str, Any]) -> None:
        task = asyncio.create_task(self._serve(claim))
        self._retries.add(task)
        task.add_done_callback(self._retries.discard)

    async def _serve(self, claim: dict[str, Any]) -> None:
        """Make the volume of a claim; a fault of the API is waited out."""
        while True:
            try:
                name = claim["spec"]["storageClassName"]
                storage_class = await self.api.get(f"/apis/storage.k8s.io/v1/storageclasses/{name}")
                if not wants_volume(claim, storage_class, self.settings.name):
                    return
                folder = folder_of(claim, self.settings.state / "volumes")
                folder.mkdir(parents=True, exist_ok=True)
                folder.chmod(0o777)
                await self.api.create(
                    "/api/v1/persistentvolumes", volume_for(claim, storage_class, folder, self.settings.name)
                )
            except ApiError as error:
                if error.code in {404, 409}:  # a class that is not there (yet), or a volume that is
                    return
                _log.warning("claim %s: %s", claim["metadata"]["name"], error)
            except FAULTS as error:
                _log.warning("claim %s: %s", claim["metadata"]["name"], error or type(error).__name__)
            else:
                return
            await asyncio.sleep(_RETRY_SECONDS)

    async def _volumes(self) -> None:
        async for kind, volume in changes(self.api, "/api/v1/persistentvolumes"):
            if kind == "DELETED" or not is_released(volume):
                continue
            path = Path(volume["spec"]["local"]["path"])
            if path.is_relative_to(self.settings.state / "volumes"):
                await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)
            try:
                await self.api.delete(f"/api/v1/persistentvolumes/{volume['metadata']['name']}")
            except ApiError as error:
                _log.warning("volume %s: %s", volume["metadata"]["name"], error)
