"""What the process node cannot do, found in a pod's spec before anything of it is started: pure.

`pod` calls `refusal`; a pod that is refused is Failed with reason `UnsupportedByProcessNode`.
"""

from __future__ import annotations

from typing import Any

REASON = "UnsupportedByProcessNode"

_VOLUMES = {"configMap", "secret", "downwardAPI", "projected", "emptyDir", "persistentVolumeClaim"}
_HOST_NAMESPACES = ("hostNetwork", "hostPID", "hostIPC")


def containers(pod: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return every container of a pod with the path of its field."""
    return [
        (f"spec.{field}[{index}]", container)
        for field in ("initContainers", "containers")
        for index, container in enumerate(pod["spec"].get(field) or [])
    ]


def _container_refusal(path: str, container: dict[str, Any]) -> str | None:
    security = container.get("securityContext") or {}
    if security.get("privileged"):
        return f"{path}.securityContext.privileged is true, and a local process has no privileges to give"
    if (security.get("capabilities") or {}).get("add"):
        return (
            f"{path}.securityContext.capabilities.add is set, and a local process has no capabilities to give"
        )
    if container.get("volumeDevices"):
        return f"{path}.volumeDevices is set, and volumes here are folders: use volumeMounts"
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        if "grpc" in (container.get(name) or {}):
            return f"{path}.{name}.grpc is not supported: use httpGet, tcpSocket or exec"
    if any(port.get("hostPort") for port in container.get("ports") or []):
        return f"{path}.ports has a hostPort: reach the pod by its own address or through the gateway"
    return None


def refusal(pod: dict[str, Any]) -> str | None:
    """Return the sentence that says what of this pod the node cannot do, or None if it can run it."""
    spec = pod["spec"]
    reasons = [
        f"spec.{field} is true, and pods here have namespaces of their own"
        for field in _HOST_NAMESPACES
        if spec.get(field)
    ]
    for index, volume in enumerate(spec.get("volumes") or []):
        kind = next((key for key in volume if key != "name"), "emptyDir")
        if kind not in _VOLUMES:
            reasons.append(
                f"spec.volumes[{index}].{kind} is not supported: use a persistentVolumeClaim, emptyDir, configMap, secret, downwardAPI or projected volume"
            )
    reasons += [
        found for path, container in containers(pod) if (found := _container_refusal(path, container))
    ]
    if not reasons:
        return None
    return f"The process node cannot run this pod: {'; '.join(reasons)}. Or run it on a real cluster."
