"""The Node object and its lease: how the control plane knows this node and that it lives.

`__main__` runs `register` once and `heartbeat` for ever.
"""

from __future__ import annotations

import asyncio
import logging
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from distill_local.node.api import STRATEGIC, Api, ApiError
from distill_local.node.model import now, timestamp
from distill_local.node.settings import KUBELET_PORT, Settings
from distill_local.node.watch import FAULTS

_log = logging.getLogger(__name__)
_RENEW_SECONDS, _LEASE_SECONDS = 10, 40
_STATUS_EVERY = 6  # renewals
_RETRY_SECONDS = 0.5
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
VERSION = "v1.36.3"


def node_object(settings: Settings) -> dict[str, Any]:
    """Return the Node to create; its status is written apart."""
    labels = {
        "kubernetes.io/hostname": settings.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "distillation.dev/node": "process",
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": settings.name, "labels": labels},
        "spec": {"podCIDR": str(settings.pod_range), "podCIDRs": [str(settings.pod_range)]},
    }


def node_status(settings: Settings, since: datetime, at: datetime) -> dict[str, Any]:
    """Return the status of a node that is ready."""

    def condition(kind: str, status: str, reason: str, message: str) -> dict[str, str]:
        times = {"lastHeartbeatTime": timestamp(at), "lastTransitionTime": timestamp(since)}
        return {"type": kind, "status": status, "reason": reason, "message": message} | times

    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return {
        "capacity": settings.capacity,
        "allocatable": settings.capacity,
        "conditions": [
            condition(
                "MemoryPressure",
                "False",
                "KubeletHasSufficientMemory",
                "the process node does not watch memory",
            ),
            condition(
                "DiskPressure", "False", "KubeletHasNoDiskPressure", "the process node does not watch disks"
            ),
            condition(
                "PIDPressure",
                "False",
                "KubeletHasSufficientPID",
                "the process node does not watch process ids",
            ),
            condition("Ready", "True", "KubeletReady", "the process node runs pods as local processes"),
        ],
        "addresses": [
            {"type": "InternalIP", "address": settings.address},
            {"type": "Hostname", "address": settings.name},
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": KUBELET_PORT}},
        "nodeInfo": {
            "machineID": "",
            "systemUUID": "",
            "bootID": boot,
            "kernelVersion": platform.release(),
            "osImage": "this machine",
            "containerRuntimeVersion": "process://0.1.0",
            "kubeletVersion": VERSION,
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        },
    }


async def register(api: Api, settings: Settings) -> None:
    """Create the Node, or take over the one of an earlier run, and report it ready."""
    begun = now()
    while True:
        try:
            try:
                await api.create("/api/v1/nodes", node_object(settings))
            except ApiError as error:
                if error.code != 409:
                    raise
                await api.patch(
                    f"/api/v1/nodes/{settings.name}", node_object(settings) | {"spec": {}}, STRATEGIC
                )
            await _report(api, settings, begun)
            await _renew(api, settings)
            # The node controller would take its "not ready" taint away within seconds: a fresh cluster need not wait.
            await api.patch(f"/api/v1/nodes/{settings.name}", {"spec": {"taints": None}})
        except FAULTS as error:
            _log.info("the node cannot be registered yet: %s", error or type(error).__name__)
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            return


async def _report(api: Api, settings: Settings, since: datetime) -> None:
    body = {"status": node_status(settings, since, now())}
    await api.patch(f"/api/v1/nodes/{settings.name}/status", body, STRATEGIC)


async def _renew(api: Api, settings: Settings) -> None:
    spec = {
        "holderIdentity": settings.name,
        "leaseDurationSeconds": _LEASE_SECONDS,
        "renewTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }
    try:
        await api.patch(f"{_LEASES}/{settings.name}", {"spec": spec})
    except ApiError as error:
        if error.code != 404:
            raise
        metadata = {"name": settings.name, "namespace": "kube-node-lease"}
        await api.create(_LEASES, {"metadata": metadata, "spec": spec})


async def heartbeat(api: Api, settings: Settings) -> None:
    """Renew the lease every 10 s and the status every minute, for ever; a Node that was deleted is created again."""
    begun, count = now(), 0
    while True:
        await asyncio.sleep(_RENEW_SECONDS)
        count += 1
        try:
            await _renew(api, settings)
            if count % _STATUS_EVERY == 0:
                await _report(api, settings, begun)
        except ApiError as error:
            _log.warning("heartbeat: %s", error)
            if error.code == 404:
                await register(api, settings)
        except FAULTS as error:
            _log.warning("heartbeat: %s", error or type(error).__name__)
