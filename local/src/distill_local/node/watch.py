"""List, then watch, for ever: an iterator of changes that survives whatever the API server does.

`sync` (pods) and `provisioner` (claims, volumes) read from it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from distill_local.node.api import Api, ApiError

_log = logging.getLogger(__name__)
_FIRST_WAIT, _LONGEST_WAIT = 0.2, 5.0
FAULTS = (aiohttp.ClientError, ApiError, asyncio.TimeoutError, json.JSONDecodeError, OSError)

Change = tuple[str, dict[str, Any]]


async def changes(api: Api, path: str) -> AsyncIterator[Change]:
    """Yield ("MODIFIED", object) for what is there and what changes, ("DELETED", object) for what went.

    What went unseen while the watch was broken is found by comparing with a fresh list.
    """
    known: dict[str, dict[str, Any]] = {}
    wait = _FIRST_WAIT
    while True:
        try:
            listed = await api.get(path)
            fresh = {item["metadata"]["uid"]: item for item in listed["items"]}
            for uid in known.keys() - fresh.keys():
                yield "DELETED", known[uid]
            known = fresh
            for item in list(fresh.values()):
                yield "MODIFIED", item
            version = listed["metadata"]["resourceVersion"]
            wait = _FIRST_WAIT
            async for change in _watched(api, path, version, known):
                yield change
        except FAULTS as error:
            _log.warning("watch of %s broke off and begins again: %s", path, error or type(error).__name__)
            await asyncio.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT)


async def _watched(
    api: Api, path: str, version: str, known: dict[str, dict[str, Any]]
) -> AsyncIterator[Change]:
    while True:
        async for event in api.watch(path, version):
            kind, item = event["type"], event["object"]
            if kind == "ERROR":
                raise ApiError(int(item.get("code", 500)), str(item.get("message")))
            version = item["metadata"]["resourceVersion"]
            if kind == "BOOKMARK":
                continue
            uid = item["metadata"]["uid"]
            if kind == "DELETED":
                known.pop(uid, None)
                yield "DELETED", item
            else:
                known[uid] = item
                yield "MODIFIED", item
