"""A small client of the Kubernetes API: the requests that a node makes, and no more.

Every other module of the node that talks to the API server does it through `Api`.
"""

from __future__ import annotations

import base64
import json
import ssl
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import yaml

Object = dict[str, Any]

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
_REQUEST_SECONDS = 30
_WATCH_SECONDS = 300
_LINE_BYTES = 16 * 1024 * 1024


class ApiError(Exception):
    """The API server's answer to a request it did not carry out."""

    def __init__(self, code: int, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


def _file(entry: Object, key: str, folder: Path) -> str | None:
    """Return the path of what a kubeconfig gives as a path or as base64."""
    if f"{key}-data" in entry:
        with tempfile.NamedTemporaryFile("wb", suffix=".pem", delete=False) as file:
            file.write(base64.b64decode(entry[f"{key}-data"]))
        return file.name
    return str(folder / entry[key]) if key in entry else None


def _named(entries: list[Object], name: str, key: str) -> Object:
    found: Object = next(entry[key] for entry in entries if entry["name"] == name)
    return found


def _ssl_context(cluster: Object, user: Object, folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=_file(cluster, "certificate-authority", folder))
    certificate, key = _file(user, "client-certificate", folder), _file(user, "client-key", folder)
    if certificate:
        context.load_cert_chain(certificate, key)
    for path, entry, name in (
        (certificate, user, "client-certificate"),
        (key, user, "client-key"),
    ):
        if path and f"{name}-data" in entry:
            Path(path).unlink()
    return context


class Api:
    """Requests to the API server that a kubeconfig names; use as an async context manager."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        context = _named(config["contexts"], config["current-context"], "context")
        cluster = _named(config["clusters"], context["cluster"], "cluster")
        user = _named(config["users"], context["user"], "user")
        self._server = cluster["server"].rstrip("/")
        self._ssl = _ssl_context(cluster, user, kubeconfig.parent)
        self._headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Api:
        connector = aiohttp.TCPConnector(ssl=self._ssl, limit=0)
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(total=_REQUEST_SECONDS),
            read_bufsize=_LINE_BYTES,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    @property
    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("Api is used outside of its `async with`")
        return self._session

    async def request(
        self, method: str, path: str, body: Object | None = None, kind: str = "application/json"
    ) -> Object:
        """Make one request; raise ApiError for an answer that is not 2xx."""
        data = json.dumps(body) if body is not None else None
        headers = {"Content-Type": kind} if body is not None else {}
        async with self._open.request(method, self._server + path, data=data, headers=headers) as answer:
            text = await answer.text()
            if answer.status >= 400:
                raise _error(answer.status, text)
        result: Object = json.loads(text) if text else {}
        return result

    async def get(self, path: str) -> Object:
        """Read one object or a list."""
        return await self.request("GET", path)

    async def create(self, path: str, body: Object) -> Object:
        """Create an object in a collection."""
        return await self.request("POST", path, body)

    async def patch(self, path: str, body: Object, kind: str = MERGE) -> Object:
        """Change part of an object."""
        return await self.request("PATCH", path, body, kind)

    async def delete(self, path: str, body: Object | None = None) -> Object:
        """Delete an object."""
        return await self.request("DELETE", path, body)

    async def watch(self, path: str, version: str) -> AsyncIterator[Object]:
        """Yield watch events after a resource version until the server ends the watch."""
        sign = "&" if "?" in path else "?"
        query = f"watch=1&allowWatchBookmarks=true&timeoutSeconds={_WATCH_SECONDS}&resourceVersion={version}"
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=_WATCH_SECONDS + 30)
        async with self._open.get(f"{self._server}{path}{sign}{query}", timeout=timeout) as answer:
            if answer.status >= 400:
                raise _error(answer.status, await answer.text())
            async for line in answer.content:
                event: Object = json.loads(line)
                yield event


def _error(code: int, text: str) -> ApiError:
    try:
        status = json.loads(text)
        return ApiError(code, str(status.get("message", text)), str(status.get("reason", "")))
    except (json.JSONDecodeError, AttributeError):
        return ApiError(code, text[:500])
