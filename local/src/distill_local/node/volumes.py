"""Volumes on disk: each one a folder under the pod's own, filled from the API and kept up to date.

`pod` calls `PodVolumes`. Files are swapped as a kubelet does: a new folder is written,
then the link `..data` is moved to it, so that a reader never sees half of a change.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from distill_local.node.api import Api, ApiError
from distill_local.node.expand import expand
from distill_local.node.inside import syscalls as sys_
from distill_local.node.model import now, parse_timestamp
from distill_local.node.payload import Files, MissingError, Scope, contents, object_name, parts, volume_files
from distill_local.node.process import Mount
from distill_local.node.quantity import parse_quantity

_TOKEN_SECONDS = 3607
_REFRESH_AT = 0.8
_FILE_KINDS = ("configMap", "secret", "downwardAPI", "projected")


async def read_object(api: Api, namespace: str, kind: str, name: str) -> dict[str, Any] | None:
    """Read a ConfigMap or Secret, None if there is none."""
    try:
        return await api.get(f"/api/v1/namespaces/{namespace}/{kind}s/{name}")
    except ApiError as error:
        if error.code == 404:
            return None
        raise MissingError(str(error)) from None


def write_files(folder: Path, files: Files) -> None:
    """Make a folder show exactly these files, in one step."""
    current = folder / "..data"
    if current.exists() and _same(current, files):
        return
    fresh = f"..{now():%Y_%m_%d_%H_%M_%S}.{secrets.token_hex(4)}"
    (folder / fresh).mkdir(parents=True)
    for path, (data, mode) in files.items():
        target = folder / fresh / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        target.chmod(mode)
    old = current.readlink() if current.is_symlink() else None
    link = folder / "..data_tmp"
    link.unlink(missing_ok=True)
    link.symlink_to(fresh)
    link.rename(current)
    tops = {Path(path).parts[0] for path in files}
    for name in tops:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    for entry in list(folder.iterdir()):
        if not entry.name.startswith("..") and entry.name not in tops:
            entry.unlink()
    if old is not None:
        shutil.rmtree(folder / old, ignore_errors=True)


def _same(folder: Path, files: Files) -> bool:
    present = {}
    for base, _, names in os.walk(folder):
        for name in names:
            path = Path(base) / name
            present[str(path.relative_to(folder))] = path
    if present.keys() != files.keys():
        return False
    return all(present[path].read_bytes() == data for path, (data, _) in files.items())


@dataclass
class _Token:
    data: bytes
    renew: datetime


@dataclass
class PodVolumes:
    """The volumes of one pod."""

    api: Api
    root: Path
    _tokens: dict[str, _Token] = field(default_factory=dict)
    _claims: dict[str, tuple[Path, bool]] = field(default_factory=dict)
    _memory: set[str] = field(default_factory=set)

    async def refresh(self, scope: Scope) -> None:
        """Make every volume, or bring its files up to date; MissingError says which one waits for what."""
        self.root.mkdir(parents=True, exist_ok=True)
        for volume in scope.pod["spec"].get("volumes") or []:
            try:
                await self._refresh_one(volume, scope)
            except (MissingError, ValueError) as error:
                raise MissingError(
                    f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}'
                ) from None

    async def _refresh_one(self, volume: dict[str, Any], scope: Scope) -> None:
        folder = self.root / volume["name"]
        if any(kind in volume for kind in _FILE_KINDS):
            folder.mkdir(exist_ok=True)
            objects = {}
            namespace = scope.pod["metadata"]["namespace"]
            for kind, source in parts(volume):
                name = object_name(kind, source)
                if name is not None:
                    item = await read_object(self.api, namespace, *name)
                    objects[name] = contents(name[0], item) if item is not None else None
            tokens = {
                source["path"]: await self._token(volume["name"], source, scope.pod)
                for kind, source in parts(volume)
                if kind == "serviceAccountToken"
            }
            write_files(folder, volume_files(volume, objects, tokens, scope))
        elif "persistentVolumeClaim" in volume:
            if volume["name"] not in self._claims:
                self._claims[volume["name"]] = await self._claim(volume["persistentVolumeClaim"], scope.pod)
        else:
            self._empty_folder(folder, volume.get("emptyDir") or {})

    def _empty_folder(self, folder: Path, source: dict[str, Any]) -> None:
        folder.mkdir(exist_ok=True)
        folder.chmod(0o777)
        if source.get("medium") == "Memory" and folder.name not in self._memory:
            if folder.is_mount():  # of a node before this one
                sys_.unmount(str(folder))
            size = f",size={int(parse_quantity(source['sizeLimit']))}" if source.get("sizeLimit") else ""
            sys_.mount("tmpfs", str(folder), "tmpfs", sys_.MS_NOSUID | sys_.MS_NODEV, f"mode=1777{size}")
            self._memory.add(folder.name)

    async def _token(self, volume: str, source: dict[str, Any], pod: dict[str, Any]) -> bytes:
        key = f"{volume}/{source['path']}"
        held = self._tokens.get(key)
        if held is None or now() >= held.renew:
            held = self._tokens[key] = await self._request_token(source, pod)
        return held.data

    async def _request_token(self, source: dict[str, Any], pod: dict[str, Any]) -> _Token:
        metadata = pod["metadata"]
        account = pod["spec"].get("serviceAccountName") or "default"
        bound = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
        audience = source.get("audience")
        spec = {
            "audiences": [audience] if audience else [],
            "expirationSeconds": source.get("expirationSeconds", _TOKEN_SECONDS),
            "boundObjectRef": bound,
        }
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        path = f"/api/v1/namespaces/{metadata['namespace']}/serviceaccounts/{account}/token"
        try:
            status = (await self.api.create(path, body))["status"]
        except ApiError as error:
            raise MissingError(f"failed to fetch token: {error}") from None
        asked = now()
        return _Token(
            status["token"].encode(),
            asked + (parse_timestamp(status["expirationTimestamp"]) - asked) * _REFRESH_AT,
        )

    async def _claim(self, source: dict[str, Any], pod: dict[str, Any]) -> tuple[Path, bool]:
        name, namespace = source["claimName"], pod["metadata"]["namespace"]
        try:
            claim = await self.api.get(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}")
            if (claim.get("status") or {}).get("phase") != "Bound":
                raise MissingError(f"persistentvolumeclaim {name} is not bound yet")
            spec = (await self.api.get(f"/api/v1/persistentvolumes/{claim['spec']['volumeName']}"))["spec"]
        except ApiError as error:
            raise MissingError(str(error)) from None
        place = (spec.get("hostPath") or spec.get("local") or {}).get("path")
        if place is None:
            raise MissingError(
                f"persistentvolume {claim['spec']['volumeName']} is neither a folder nor a local volume, "
                "which is all the process node can mount: use a StorageClass of provisioner distillation.dev/folder"
            )
        if not await asyncio.to_thread(Path(place).is_dir):
            raise MissingError(
                f"the folder {place} of persistentvolume {claim['spec']['volumeName']} is not there"
            )
        modes = claim["spec"].get("accessModes") or []
        return Path(place), bool(source.get("readOnly")) or modes == ["ReadOnlyMany"]

    def mount(self, mount: dict[str, Any], variables: dict[str, str]) -> Mount:
        """Return the Mount that a volumeMount asks for, its subPath made if it is not there."""
        name = mount["name"]
        claim = self._claims.get(name)
        source, readonly = claim or (self.root / name, False)
        written = not claim and (source / "..data").is_symlink()
        sub = (
            expand(mount["subPathExpr"], variables) if mount.get("subPathExpr") else mount.get("subPath", "")
        )
        if sub:
            wanted = (source / sub).resolve()
            if not wanted.is_relative_to(source.resolve()):
                raise MissingError(f"subPath {sub!r} of volume {name} leads out of the volume")
            if not wanted.exists() and not written:
                wanted.mkdir(parents=True)
            if not wanted.exists():
                raise MissingError(f"subPath {sub!r} is not in volume {name}")
            source = wanted
        return Mount(str(source), mount["mountPath"], bool(mount.get("readOnly")) or readonly or written)

    def remove(self) -> None:
        """Take the pod's folders away; the folders of claims stay."""
        for name in self._memory:
            with contextlib.suppress(OSError):
                sys_.unmount(str(self.root / name))
        shutil.rmtree(self.root, ignore_errors=True)
