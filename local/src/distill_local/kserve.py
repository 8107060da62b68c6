"""KServe and Gateway API on a local cluster: what is applied before KServe's controller and Traefik start.

The definitions come from the Go modules, read at build time (`distill_local.build`); nothing of them is part of this repository.
Called by the supervisor.
"""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import yaml

from distill_local import layout
from distill_local.api import Api, Manifest, has_condition, manifest_files, manifest_name, object_path
from distill_local.pki import Pki

NAMESPACE = "kserve"
GATEWAY = "kserve-ingress-gateway"
INGRESS_DOMAIN = "example.com"
_WEBHOOK_URL = "https://127.0.0.1:9443"
_POLL_SECONDS = 0.1
_MARKER = "distill-local"


async def apply_crds(api: Api, manifests: Path) -> None:
    """Apply every definition below `manifests`/crds and wait until the API server serves them.

    They are the slowest part of a start, so a cluster that already has exactly these is left alone: the folder's name is a digest.
    """
    version = manifests.parent.name
    marker = await api.read(object_path("ConfigMap", _MARKER, "kube-system"))
    if marker is not None and marker["data"].get("definitions") == version:
        return
    # Two at a time: the server compiles each definition and publishes it anew, and all at once would make some time out.
    turns = asyncio.Semaphore(2)
    await asyncio.gather(*(_apply_crd(api, file, turns) for file in manifest_files(manifests / "crds")))
    metadata = {"name": _MARKER, "namespace": "kube-system"}
    await api.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"definitions": version}}
    )


async def _apply_crd(api: Api, file: Path, turns: asyncio.Semaphore) -> None:
    text = await asyncio.to_thread(file.read_bytes)
    path = object_path("CustomResourceDefinition", manifest_name(text))
    async with turns:
        await api.apply_text(path, text)
    while not has_condition(await api.read(path), "Established"):  # noqa: ASYNC110  # what we wait for is in another process
        await asyncio.sleep(_POLL_SECONDS)


async def apply_kserve(api: Api, manifests: Path, keys: Pki) -> None:
    """Apply KServe's namespace, settings, webhooks and gateway."""
    for manifest in _kserve_objects(manifests, keys):
        await api.apply(manifest)


def _kserve_objects(manifests: Path, keys: Pki) -> list[Manifest]:
    settings = yaml.safe_load((manifests / "inferenceservice-config.yaml").read_text(encoding="utf-8"))
    webhooks = yaml.safe_load_all((manifests / "webhooks.yaml").read_text(encoding="utf-8"))
    authority = base64.b64encode(keys.ca.read_bytes()).decode("ascii")
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        local_settings(settings),
        *(local_webhook(webhook, authority) for webhook in webhooks if webhook),
        _gateway_class(),
        _gateway(),
    ]


def local_settings(upstream: Manifest) -> Manifest:
    """Return KServe's own ConfigMap with what a cluster without Knative and Istio needs; its defaults want both."""
    data = {key: value for key, value in upstream["data"].items() if not key.startswith("_")}
    data["deploy"] = _merged(data["deploy"], {"defaultDeploymentMode": "Standard"})
    data["ingress"] = _merged(
        data["ingress"],
        {
            "enableGatewayApi": True,
            "kserveIngressGateway": f"{NAMESPACE}/{GATEWAY}",
            "ingressDomain": INGRESS_DOMAIN,
            "disableIstioVirtualHost": True,
        },
    )
    # A whole CPU for each predictor would leave room for few on a node that is one laptop.
    requests = {"cpuRequest": "100m", "memoryRequest": "256Mi", "cpuLimit": "1", "memoryLimit": "2Gi"}
    data["inferenceService"] = json.dumps({"resource": requests})
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "inferenceservice-config", "namespace": NAMESPACE},
        "data": data,
    }


def _merged(text: str, changes: dict[str, Any]) -> str:
    return json.dumps(json.loads(text) | changes)


def local_webhook(upstream: Manifest, authority: str) -> Manifest:
    """Return a webhook configuration that calls KServe's controller by address: there is no Service for it here."""
    webhooks = [
        webhook
        | {
            "clientConfig": {
                "url": _WEBHOOK_URL + webhook["clientConfig"]["service"]["path"],
                "caBundle": authority,
            }
        }
        for webhook in upstream["webhooks"]
    ]
    return {
        "apiVersion": upstream["apiVersion"],
        "kind": upstream["kind"],
        "metadata": {"name": upstream["metadata"]["name"]},
        "webhooks": webhooks,
    }


def _gateway_class() -> Manifest:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": "traefik"},
        "spec": {"controllerName": "traefik.io/gateway-controller"},
    }


def _gateway() -> Manifest:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": GATEWAY, "namespace": NAMESPACE},
        "spec": {
            "gatewayClassName": "traefik",
            "listeners": [
                {
                    "name": "http",
                    "protocol": "HTTP",
                    "port": layout.GATEWAY_PORT,
                    "allowedRoutes": {"namespaces": {"from": "All"}},
                },
            ],
        },
    }


async def gateway_programmed(api: Api) -> bool:
    """Return whether the gateway's controller has taken our Gateway."""
    return has_condition(await api.read(object_path("Gateway", GATEWAY, NAMESPACE)), "Programmed")
