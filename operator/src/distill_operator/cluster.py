"""The operator's only way to the Kubernetes API: a few verbs on JSON objects, typed errors, every request counted.

Bodies and answers are plain JSON: the typed client's models cannot send null in a patch and cost a conversion per
object. `reconcile`, `rollout`, `handlers` and the leader election use it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import aiohttp
from kubernetes.aio import client, config

from distill_operator.errors import UnavailableError, error_of
from distill_operator.kinds import Kind, Object

FIELD_MANAGER = "distillation-operator"
JSON, MERGE = "application/json", "application/merge-patch+json"
WRITES = {"create", "patch", "update", "delete"}
PAGE = 500

Count = Callable[[str, str, str], None]
"""Called with verb, resource and HTTP status of each request (`0` where none came back)."""


class Cluster:
    """A connection to one API server."""

    def __init__(
        self, api: client.ApiClient, *, count: Count, timeout: float = 30.0, crash_after_write: int = 0
    ) -> None:
        self._api: Any = api  # the generated client is typed in parts only
        self._count = count
        self._timeout = aiohttp.ClientTimeout(total=timeout, connect=5.0)
        self._crash_after_write = crash_after_write
        self.writes = 0

    @classmethod
    async def connect(
        cls, *, count: Count, request_seconds: float = 30.0, crash_after_write: int = 0
    ) -> Cluster:
        """Connect as the pod's ServiceAccount, or as the kubeconfig says outside of a cluster."""
        configuration = client.Configuration()
        if "KUBERNETES_SERVICE_HOST" in os.environ and not os.environ.get("KUBECONFIG"):
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            await config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        api = client.ApiClient(configuration)
        return cls(api, count=count, timeout=request_seconds, crash_after_write=crash_after_write)

    async def close(self) -> None:
        """Close all connections."""
        await self._api.close()

    async def create(self, kind: Kind, namespace: str, body: Object) -> Object:
        """Create an object. Raises AlreadyExistsError where the name is taken."""
        query = {"fieldManager": FIELD_MANAGER}
        return await self._request("create", kind, "POST", kind.path(namespace), body=body, query=query)

    async def patch(
        self, kind: Kind, namespace: str, name: str, patch: Object, *, status: bool = False
    ) -> Object:
        """JSON merge patch (null removes); a `metadata.resourceVersion` in it is a precondition (ConflictError)."""
        path = kind.path(namespace, name, "status" if status else "")
        query = {"fieldManager": FIELD_MANAGER}
        return await self._request("patch", kind, "PATCH", path, body=patch, query=query, content=MERGE)

    async def patch_status(self, kind: Kind, obj: Object, status: Object) -> Object:
        """Merge-patch the status of `obj`, if it is still the version that was read."""
        metadata = obj["metadata"]
        patch = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "status": status}
        return await self.patch(kind, metadata["namespace"], metadata["name"], patch, status=True)

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str | None = None) -> None:
        """Delete an object and, in the background, what it owns; with `uid`, only if it is still that one."""
        body: Object = {"propagationPolicy": "Background"}
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        await self._request("delete", kind, "DELETE", kind.path(namespace, name), body=body)

    async def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """Read one object. Raises NotFoundError. Not used in the steady state: the caches are."""
        return await self._request("get", kind, "GET", kind.path(namespace, name))

    async def replace(self, kind: Kind, namespace: str, name: str, body: Object) -> Object:
        """Write a whole object at the version that it carries (ConflictError where it has moved on)."""
        return await self._request("update", kind, "PUT", kind.path(namespace, name), body=body)

    async def list(self, kind: Kind, namespace: str | None, selector: str = "") -> tuple[list[Object], int]:
        """All objects of a kind and the resourceVersion of the list."""
        items: list[Object] = []
        query = {"limit": str(PAGE)} | ({"labelSelector": selector} if selector else {})
        while True:
            page = await self._request("list", kind, "GET", kind.path(namespace), query=query)
            items += page.get("items") or []
            token = page["metadata"].get("continue")
            if not token:
                return items, int(page["metadata"].get("resourceVersion") or 0)
            query["continue"] = token

    async def serves(self, kind: Kind) -> bool:
        """Whether the cluster has the kind (its CustomResourceDefinition is installed)."""
        status, answer = await self._send("discover", kind, "GET", kind.base)
        if status == 404:
            return False
        _raise_for(status, answer)
        return any(resource["name"] == kind.plural for resource in answer.get("resources", []))

    async def _request(self, verb: str, kind: Kind, method: str, path: str, **options: Any) -> Object:
        status, answer = await self._send(verb, kind, method, path, **options)
        _raise_for(status, answer)
        if verb in WRITES and kind.plural != "leases":
            self._note_write()
        return answer

    async def _send(
        self,
        verb: str,
        kind: Kind,
        method: str,
        path: str,
        *,
        body: Object | None = None,
        query: dict[str, str] | None = None,
        content: str = JSON,
    ) -> tuple[int, Object]:
        code = "0"
        try:
            request = await self._api.param_serialize(
                method,
                path,
                query_params=list((query or {}).items()),
                header_params={"Accept": JSON, "Content-Type": content},
                body=body,
                auth_settings=["BearerToken"],
            )
            response = await self._api.call_api(*request, _request_timeout=self._timeout)
            text = await response.read()
            code = str(response.status)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnavailableError(
                0, "NoAnswer", f"{method} {path}: {error or type(error).__name__}"
            ) from error
        finally:
            self._count(verb, kind.plural, code)
        return int(code), _parse(text)

    def _note_write(self) -> None:
        self.writes += 1
        if self.writes == self._crash_after_write:
            os._exit(137)


def _parse(text: bytes) -> Object:
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    return answer if isinstance(answer, dict) else {"message": text[:500].decode(errors="replace")}


def _raise_for(status: int, answer: Object) -> None:
    if status >= 300:
        raise error_of(status, str(answer.get("reason", "")), str(answer.get("message", "")))
