"""The downward API as pure functions: `fieldRef` and `resourceFieldRef` to text.

`env` and `volumes` call these.
"""

from __future__ import annotations

import re
from typing import Any

from distill_local.node.quantity import divided

_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def field_value(pod: dict[str, Any], path: str, addresses: dict[str, str]) -> str:
    """Return what a fieldRef means; `addresses` holds podIP and hostIP. ValueError for an unknown path."""
    metadata, spec = pod["metadata"], pod["spec"]
    subscript = _SUBSCRIPT.fullmatch(path)
    if subscript:
        return str((metadata.get(subscript[1]) or {}).get(subscript[2], ""))
    simple = {
        "metadata.name": metadata.get("name"),
        "metadata.namespace": metadata.get("namespace"),
        "metadata.uid": metadata.get("uid"),
        "spec.nodeName": spec.get("nodeName"),
        "spec.serviceAccountName": spec.get("serviceAccountName"),
        "status.podIP": addresses["podIP"],
        "status.podIPs": addresses["podIP"],
        "status.hostIP": addresses["hostIP"],
        "status.hostIPs": addresses["hostIP"],
    }
    if path in {"metadata.labels", "metadata.annotations"}:
        entries = metadata.get(path.partition(".")[2]) or {}
        return "\n".join(f"{key}={_quoted(entries[key])}" for key in sorted(entries))
    if path not in simple:
        raise ValueError(f"unsupported fieldPath: {path}")
    return str(simple[path] or "")


def _quoted(text: str) -> str:
    return '"' + "".join(_ESCAPES.get(character, character) for character in text) + '"'


def resource_value(container: dict[str, Any], reference: dict[str, Any], allocatable: dict[str, str]) -> str:
    """Return what a resourceFieldRef means; a limit that is not set is the node's allocatable amount."""
    kind, _, resource = reference["resource"].partition(".")
    given = (container.get("resources") or {}).get(kind) or {}
    fallback = allocatable.get(resource, "0") if kind == "limits" else "0"
    return divided(given.get(resource, fallback), str(reference.get("divisor") or "0"))
