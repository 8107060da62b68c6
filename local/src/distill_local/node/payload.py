"""The files of configMap, secret, downwardAPI and projected volumes: pure, given what they name.

`volumes` reads the sources and writes the files.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from distill_local.node.fields import field_value, resource_value
from distill_local.node.refuse import containers

Files = dict[str, tuple[bytes, int]]
Bytes = Mapping[tuple[str, str], Mapping[str, bytes] | None]

DEFAULT_MODE = 0o644


class MissingError(Exception):
    """What a volume waits for, in a kubelet's words."""


@dataclass(frozen=True)
class Scope:
    """What the downward API may show."""

    pod: dict[str, Any]
    addresses: dict[str, str]
    allocatable: dict[str, str]


def contents(kind: str, item: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the files that a ConfigMap or Secret holds."""
    if kind == "secret":
        return {key: base64.b64decode(value) for key, value in (item.get("data") or {}).items()}
    plain = {key: value.encode() for key, value in (item.get("data") or {}).items()}
    return plain | {key: base64.b64decode(value) for key, value in (item.get("binaryData") or {}).items()}


def parts(volume: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return a volume's sources as (kind, source): several for a projected volume, one for the others."""
    if "projected" in volume:
        return [next(iter(source.items())) for source in volume["projected"].get("sources") or []]
    kind = next(key for key in volume if key != "name")
    return [(kind, volume[kind])]


def object_name(kind: str, source: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the (kind, name) of the ConfigMap or Secret that a source reads."""
    if kind == "configMap":
        return "configmap", source["name"]
    if kind == "secret":
        return "secret", source.get("secretName") or source["name"]
    return None


def _selected(
    name: tuple[str, str], source: Mapping[str, Any], found: Mapping[str, bytes], mode: int
) -> Files:
    if not source.get("items"):
        return {key: (data, mode) for key, data in found.items()}
    files: Files = {}
    for item in source["items"]:
        if item["key"] in found:
            files[item["path"]] = (found[item["key"]], item.get("mode", mode))
        elif not source.get("optional"):
            raise MissingError(f"references non-existent {name[0]} key: {item['key']}")
    return files


def _downward(source: Mapping[str, Any], scope: Scope, mode: int) -> Files:
    by_name = {container["name"]: container for _, container in containers(scope.pod)}
    files: Files = {}
    for item in source.get("items") or []:
        if "fieldRef" in item:
            text = field_value(scope.pod, item["fieldRef"]["fieldPath"], scope.addresses)
        else:
            reference = item["resourceFieldRef"]
            text = resource_value(by_name[reference["containerName"]], reference, scope.allocatable)
        files[item["path"]] = (text.encode(), item.get("mode", mode))
    return files


def volume_files(
    volume: Mapping[str, Any], objects: Bytes, tokens: Mapping[str, bytes], scope: Scope
) -> Files:
    """Return path → (bytes, mode) of a volume; MissingError says what is not there yet. Tokens are by their path."""
    files: Files = {}
    default = next(value for key, value in volume.items() if key != "name").get("defaultMode", DEFAULT_MODE)
    for kind, source in parts(volume):
        name = object_name(kind, source)
        if name is not None:
            found = objects.get(name)
            if found is None and not source.get("optional"):
                raise MissingError(f'{name[0]} "{name[1]}" not found')
            files |= _selected(name, source, found or {}, default)
        elif kind == "downwardAPI":
            files |= _downward(source, scope, default)
        elif kind == "serviceAccountToken":
            files[source["path"]] = (tokens[source["path"]], default)
        else:
            raise MissingError(f"projected source {kind} is not supported by the process node")
    return files
