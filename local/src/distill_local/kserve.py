"""KServe and Gateway API on a local cluster: what is applied before KServe's controller and Traefik start.

The definitions come from the Go modules, read at build time (`distill_local.build`); nothing of them is part of this repository.
Called by the supervisor.
"""

import asyncio
import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill_local import layout
from distill_local.api import Api, Manifest, has_condition, object_path
from distill_local.build import OBJECTS
from distill_local.pki import Pki

NAMESPACE = "kserve"
GATEWAY = "kserve-ingress-gateway"
GATEWAY_GROUP = "gateway.networking.k8s.io"
KSERVE_GROUP = "serving.kserve.io"
INGRESS_DOMAIN = "example.com"
_WEBHOOK_URL = "https://127.0.0.1:9443"
_POLL_SECONDS = 0.1
# Of each group; all at once would take the server as long, and more memory.
_AT_ONCE = 2
_MARKER = "distill-local"


@dataclass(frozen=True)
class Objects:
    """What `distill_local.manifests` stored, by use; `version` is a digest of where it comes from."""

    version: str
    definitions: tuple[Manifest, ...]
    webhooks: tuple[Manifest, ...]
    settings: Manifest

    def definitions_of(self, group: str) -> list[Manifest]:
        """Return the definitions of one API group."""
        return [item for item in self.definitions if item["spec"]["group"] == group]

    @classmethod
    def read(cls, folder: Path) -> "Objects":
        """Read the file beside the program in `folder`, whose name is the digest."""
        found: list[Manifest] = json.loads((folder / OBJECTS).read_bytes())
        kinds = {
            kind: tuple(item for item in found if item["kind"] == kind)
            for kind in {item["kind"] for item in found}
        }
        return cls(
            folder.name,
            kinds["CustomResourceDefinition"],
            kinds["MutatingWebhookConfiguration"] + kinds["ValidatingWebhookConfiguration"],
            kinds["ConfigMap"][0],
        )


async def has_definitions(api: Api, objects: Objects) -> bool:
    """Return whether the cluster, started before, already has exactly these definitions: they are the slowest part of a start."""
    marker = await api.read(object_path("ConfigMap", _MARKER, "kube-system"))
    return marker is not None and marker["data"].get("definitions") == objects.version


async def note_definitions(api: Api, objects: Objects) -> None:
    """Note that the cluster has all definitions, for its next start."""
    metadata = {"name": _MARKER, "namespace": "kube-system"}
    await api.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": {"definitions": objects.version},
        }
    )


async def apply_definitions(api: Api, definitions: Iterable[Manifest]) -> None:
    """Make definitions, the largest first, and wait until the API server serves what they define."""
    turns = asyncio.Semaphore(_AT_ONCE)
    ordered = sorted(definitions, key=lambda definition: len(json.dumps(definition)), reverse=True)
    await asyncio.gather(*(_apply_definition(api, definition, turns) for definition in ordered))


async def _apply_definition(api: Api, definition: Manifest, turns: asyncio.Semaphore) -> None:
    async with turns:
        await api.create(definition)
        await _served(api, definition)


async def _served(api: Api, definition: Manifest) -> None:
    spec = definition["spec"]
    paths = [f"/apis/{spec['group']}/{version['name']}" for version in spec["versions"] if version["served"]]
    for path in paths:
        while not _lists(await api.read(path), spec["names"]["plural"]):  # noqa: ASYNC110  # what we wait for is in another process
            await asyncio.sleep(_POLL_SECONDS)


def _lists(discovered: Manifest | None, plural: str) -> bool:
    """Return whether a version of a group has the resource. Reading the definition instead would cost more than making it."""
    return discovered is not None and any(item["name"] == plural for item in discovered["resources"])


async def apply_gateway(api: Api) -> None:
    """Apply the gateway that KServe's routes attach to."""
    await asyncio.gather(*(api.apply(manifest) for manifest in (_namespace(), _gateway_class())))
    await api.apply(_gateway())


async def apply_kserve(api: Api, objects: Objects, keys: Pki) -> None:
    """Apply KServe's namespace, settings and webhooks."""
    await api.apply(_namespace())
    authority = base64.b64encode(keys.ca.read_bytes()).decode("ascii")
    webhooks = [local_webhook(webhook, authority) for webhook in objects.webhooks]
    await asyncio.gather(*(api.apply(manifest) for manifest in (local_settings(objects.settings), *webhooks)))


def _namespace() -> Manifest:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}


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
