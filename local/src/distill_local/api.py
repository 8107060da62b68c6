"""A very small client of the API server for the supervisor: server-side apply, read, and "are you there".

kubectl would do, but each call of it costs a process and a discovery; the supervisor applies the same few kinds each time.
"""

import asyncio
import json
import logging
import ssl
import time
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp

from distill_local.errors import LocalClusterError
from distill_local.pki import Identity, Pki

log = logging.getLogger(__name__)

Manifest = dict[str, Any]
# A definition of two megabytes takes the server seconds, and many seconds on a machine that is busy.
_TIMEOUT = aiohttp.ClientTimeout(total=120)
_RETRY_SECONDS = 120
# Answers of a server that is there but has no time, or met another writer: not a wrong request.
_BUSY = frozenset({409, 429, 500, 502, 503, 504})
_PROBE_TIMEOUT = aiohttp.ClientTimeout(total=10)

# Where each kind lives: path of its group and version, plural, whether it belongs to a namespace.
_RESOURCES = {
    "Namespace": ("api/v1", "namespaces", False),
    "ConfigMap": ("api/v1", "configmaps", True),
    "ClusterRole": ("apis/rbac.authorization.k8s.io/v1", "clusterroles", False),
    "ClusterRoleBinding": ("apis/rbac.authorization.k8s.io/v1", "clusterrolebindings", False),
    "StorageClass": ("apis/storage.k8s.io/v1", "storageclasses", False),
    "CustomResourceDefinition": ("apis/apiextensions.k8s.io/v1", "customresourcedefinitions", False),
    "MutatingWebhookConfiguration": (
        "apis/admissionregistration.k8s.io/v1",
        "mutatingwebhookconfigurations",
        False,
    ),
    "ValidatingWebhookConfiguration": (
        "apis/admissionregistration.k8s.io/v1",
        "validatingwebhookconfigurations",
        False,
    ),
    "GatewayClass": ("apis/gateway.networking.k8s.io/v1", "gatewayclasses", False),
    "Gateway": ("apis/gateway.networking.k8s.io/v1", "gateways", True),
}


def object_path(kind: str, name: str, namespace: str | None = None) -> str:
    """Return the path of an object below the API server's URL."""
    group, plural, namespaced = _RESOURCES[kind]
    middle = f"namespaces/{namespace}/" if namespaced else ""
    return f"/{group}/{middle}{plural}/{name}"


@dataclass(frozen=True)
class Api:
    """The API server as seen by one identity; `session` is the caller's to close."""

    url: str
    session: aiohttp.ClientSession

    async def apply(self, manifest: Manifest) -> None:
        """Bring the object to what `manifest` says, by server-side apply; raise LocalClusterError if it is refused."""
        metadata = manifest["metadata"]
        path = object_path(manifest["kind"], metadata["name"], metadata.get("namespace"))
        await self.apply_text(path, json.dumps(manifest).encode())

    async def apply_text(self, path: str, body: bytes) -> None:
        """Apply YAML or JSON as it is to the object at `path`: a definition of two megabytes need not be parsed here.

        A server that is too busy is asked again, which server-side apply makes harmless; a refusal raises LocalClusterError.
        """
        deadline = time.monotonic() + _RETRY_SECONDS
        status, reason = await self._patch(path, body)
        while status in _BUSY and time.monotonic() < deadline:
            log.warning("the API server has no time for %s (%d): %s", path, status, reason)
            await asyncio.sleep(1)
            status, reason = await self._patch(path, body)
        if status >= HTTPStatus.MULTIPLE_CHOICES:
            msg = f"The API server refused {path} with {status}: {reason}"
            raise LocalClusterError(msg)

    async def _patch(self, path: str, body: bytes) -> tuple[int, str]:
        """Return the status and the reason of one attempt; no answer counts as a gateway's timeout."""
        headers = {"Content-Type": "application/apply-patch+yaml"}
        query = {"fieldManager": "distill-local", "force": "true"}
        try:
            async with self.session.patch(
                f"{self.url}{path}", data=body, headers=headers, params=query
            ) as answer:
                return answer.status, "" if answer.ok else (await answer.text())[:500]
        except (aiohttp.ClientError, TimeoutError) as error:
            return HTTPStatus.GATEWAY_TIMEOUT, repr(error)

    async def read(self, path: str) -> Manifest | None:
        """Return the object at `path`, None if it is not there or the server does not answer."""
        try:
            async with self.session.get(f"{self.url}{path}", timeout=_PROBE_TIMEOUT) as answer:
                document: Manifest | None = await answer.json() if answer.ok else None
                return document
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError):
            return None

    async def answers(self, url: str) -> bool:
        """Return whether `url` (whole, not a path) answers with a success."""
        try:
            async with self.session.get(url, timeout=_PROBE_TIMEOUT) as answer:
                return answer.ok
        except (aiohttp.ClientError, TimeoutError):
            return False


def client_session(pki: Pki, identity: Identity) -> aiohttp.ClientSession:
    """Return a session that speaks as `identity` and trusts whatever is inside the namespace.

    Controller manager and scheduler serve health on certificates that they sign themselves, and nobody else is in this network.
    """
    context = pki.client_context(identity)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context), timeout=_TIMEOUT, trust_env=False
    )


def has_condition(document: Manifest | None, condition: str) -> bool:
    """Return whether the object's status says `condition: True`."""
    if document is None:
        return False
    # A CRD that was just made has `conditions: null` until its controller has looked at it.
    conditions = (document.get("status") or {}).get("conditions") or []
    return any(c["type"] == condition and c["status"] == "True" for c in conditions)


def manifest_name(text: bytes) -> str:
    """Return metadata.name of a generated manifest without parsing it: the first name two columns in."""
    for line in text.splitlines():
        if line.startswith(b"  name: "):
            return line.removeprefix(b"  name: ").decode().strip("\"'")
    msg = "A manifest without metadata.name cannot be applied; remove the cache folder so that it is made again."
    raise LocalClusterError(msg)


def manifest_files(folder: Path) -> list[Path]:
    """Return the YAML files in `folder`, the largest first."""
    return sorted(folder.glob("*.yaml"), key=lambda file: file.stat().st_size, reverse=True)
