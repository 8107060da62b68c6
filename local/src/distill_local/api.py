"""A very small client of the API server for the supervisor: create, server-side apply, read, and "are you there".

kubectl would do, but each call of it costs a process and a discovery; the supervisor applies the same few kinds each time.
"""

import asyncio
import json
import logging
import ssl
import time
from dataclasses import dataclass
from http import HTTPStatus
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
_MANAGER = "distill-local"
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


def path_of(manifest: Manifest) -> str:
    """Return the path of the object that `manifest` describes."""
    metadata = manifest["metadata"]
    return object_path(manifest["kind"], metadata["name"], metadata.get("namespace"))


@dataclass(frozen=True)
class Api:
    """The API server as seen by one identity; `session` is the caller's to close."""

    url: str
    session: aiohttp.ClientSession

    async def apply(self, manifest: Manifest) -> None:
        """Bring the object to what `manifest` says, by server-side apply; raise LocalClusterError if it is refused."""
        path = path_of(manifest)
        headers = {"Content-Type": "application/apply-patch+yaml"}
        query = {"fieldManager": _MANAGER, "force": "true"}
        await self._persist("PATCH", path, manifest, headers, query)

    async def create(self, manifest: Manifest) -> None:
        """Create the object, or apply it if there is one; half the server's work if there is none."""
        collection, _, _ = path_of(manifest).rpartition("/")
        headers = {"Content-Type": "application/json"}
        status = await self._persist("POST", collection, manifest, headers, {"fieldManager": _MANAGER})
        if status == HTTPStatus.CONFLICT:
            await self.apply(manifest)

    async def _persist(
        self, method: str, path: str, manifest: Manifest, headers: dict[str, str], query: dict[str, str]
    ) -> int:
        """Send until the server has time for it, which both requests allow; raise LocalClusterError if it is refused."""
        body = json.dumps(manifest, separators=(",", ":")).encode()
        busy = _BUSY if method == "PATCH" else _BUSY - {HTTPStatus.CONFLICT}
        deadline = time.monotonic() + _RETRY_SECONDS
        status, reason = await self._send(method, path, body, headers, query)
        while status in busy and time.monotonic() < deadline:
            log.warning("the API server has no time for %s (%d): %s", path, status, reason)
            await asyncio.sleep(1)
            status, reason = await self._send(method, path, body, headers, query)
        if status >= HTTPStatus.MULTIPLE_CHOICES and (method, status) != ("POST", HTTPStatus.CONFLICT):
            msg = f"The API server refused {path} with {status}: {reason}"
            raise LocalClusterError(msg)
        return status

    async def _send(
        self, method: str, path: str, body: bytes, headers: dict[str, str], query: dict[str, str]
    ) -> tuple[int, str]:
        """Return the status and the reason of one attempt; no answer counts as a gateway's timeout."""
        try:
            async with self.session.request(
                method, f"{self.url}{path}", data=body, headers=headers, params=query
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
