"""A container's environment, as a kubelet computes it: pure, given the ConfigMaps and Secrets.

`launch` reads what `references` names and then calls `environment`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from distill_local.node.expand import expand
from distill_local.node.fields import field_value, resource_value

KINDS = {
    "configMapRef": "configmap",
    "secretRef": "secret",
    "configMapKeyRef": "configmap",
    "secretKeyRef": "secret",
}

Sources = Mapping[tuple[str, str], Mapping[str, str] | None]


class ConfigError(Exception):
    """Why a container cannot be created yet, in a kubelet's words."""


@dataclass(frozen=True)
class Surroundings:
    """What the environment takes from outside the pod's spec."""

    addresses: dict[str, str]
    allocatable: dict[str, str]
    service: dict[str, str]


def references(container: dict[str, Any]) -> set[tuple[str, str]]:
    """Return the (kind, name) of every ConfigMap and Secret that the environment is made from."""
    entries = [
        *container.get("envFrom", []),
        *(entry.get("valueFrom") or {} for entry in container.get("env", [])),
    ]
    return {(KINDS[key], entry[key]["name"]) for entry in entries for key in KINDS if key in entry}


def texts(kind: str, data: Mapping[str, str]) -> dict[str, str]:
    """Return a ConfigMap's data, or a Secret's decoded."""
    if kind == "configmap":
        return dict(data)
    return {key: base64.b64decode(value).decode("utf-8", "surrogateescape") for key, value in data.items()}


def _found(kind: str, reference: dict[str, Any], sources: Sources) -> Mapping[str, str] | None:
    found = sources.get((kind, reference["name"]))
    if found is None and not reference.get("optional"):
        raise ConfigError(f'{kind} "{reference["name"]}" not found')
    return found


def _from_key(kind: str, reference: dict[str, Any], sources: Sources, namespace: str) -> str | None:
    found = _found(kind, reference, sources)
    if found is None:
        return None
    if reference["key"] in found:
        return found[reference["key"]]
    if reference.get("optional"):
        return None
    what = "ConfigMap" if kind == "configmap" else "Secret"
    raise ConfigError(f"couldn't find key {reference['key']} in {what} {namespace}/{reference['name']}")


def _from_all(container: dict[str, Any], sources: Sources) -> dict[str, str]:
    result: dict[str, str] = {}
    for entry in container.get("envFrom", []):
        key = next(key for key in ("configMapRef", "secretRef") if key in entry)
        found = _found(KINDS[key], entry[key], sources)
        result |= {entry.get("prefix", "") + name: value for name, value in (found or {}).items()}
    return result


def environment(
    pod: dict[str, Any], container: dict[str, Any], sources: Sources, around: Surroundings
) -> dict[str, str]:
    """Return the variables of a container; ConfigError says what is missing."""
    result = _from_all(container, sources)
    known = dict(around.service) | result
    for entry in container.get("env", []):
        value = _value(pod, container, entry, sources, around, known)
        if value is not None:
            result[entry["name"]] = known[entry["name"]] = value
    return around.service | result


def _value(
    pod: dict[str, Any],
    container: dict[str, Any],
    entry: dict[str, Any],
    sources: Sources,
    around: Surroundings,
    known: Mapping[str, str],
) -> str | None:
    origin = entry.get("valueFrom")
    if not origin:
        return expand(entry.get("value", ""), known)
    if "fieldRef" in origin:
        try:
            return field_value(pod, origin["fieldRef"]["fieldPath"], around.addresses)
        except ValueError as error:
            raise ConfigError(str(error)) from None
    if "resourceFieldRef" in origin:
        return resource_value(container, origin["resourceFieldRef"], around.allocatable)
    for key in ("configMapKeyRef", "secretKeyRef"):
        if key in origin:
            return _from_key(KINDS[key], origin[key], sources, pod["metadata"]["namespace"])
    raise ConfigError(
        f"env {entry['name']}: the process node does not support valueFrom.{next(iter(origin))}"
    )
