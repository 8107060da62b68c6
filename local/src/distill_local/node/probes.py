"""Startup, readiness and liveness probes: one loop a probe, one pure count of its answers.

`runner` runs them beside a running container and acts on what they report.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

import aiohttp

from distill_local.node.process import ContainerProcess, run_inside

_BODY_AT_MOST = 512


@dataclass(frozen=True)
class Count:
    """Answers in a row, and the verdict they add up to (None: not decided yet)."""

    successes: int = 0
    failures: int = 0
    verdict: bool | None = None

    def after(self, *, ok: bool, success_threshold: int, failure_threshold: int) -> Count:
        """Return the count after one more answer."""
        if ok:
            count = replace(self, successes=self.successes + 1, failures=0)
            return replace(count, verdict=True) if count.successes >= success_threshold else count
        count = replace(self, successes=0, failures=self.failures + 1)
        return replace(count, verdict=False) if count.failures >= failure_threshold else count


@dataclass(frozen=True)
class Target:
    """What a probe is aimed at."""

    process: ContainerProcess
    address: str
    ports: dict[str, int]

    def port(self, given: int | str) -> int:
        """Return the number of a port that may be given by name."""
        if isinstance(given, int) or given.isdigit():
            return int(given)
        if given not in self.ports:
            raise ValueError(f"couldn't find port: {given} in the container's ports")
        return self.ports[given]


def named_ports(container: dict[str, Any]) -> dict[str, int]:
    """Return the named ports of a container."""
    return {port["name"]: port["containerPort"] for port in container.get("ports") or [] if "name" in port}


async def _http(probe: dict[str, Any], target: Target) -> tuple[bool, str]:
    get = probe["httpGet"]
    url = _url(get, target)
    headers = {"User-Agent": "kube-probe/1.36"} | {
        h["name"]: h["value"] for h in get.get("httpHeaders") or []
    }
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # as a kubelet: probes verify nothing
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, headers=headers, ssl=context, allow_redirects=False) as answer,
    ):
        body = (await answer.content.read(_BODY_AT_MOST)).decode(errors="replace")
        return (
            200 <= answer.status < 400,
            f"HTTP probe failed with statuscode: {answer.status}: {body}".strip(": "),
        )


def _url(get: dict[str, Any], target: Target) -> str:
    scheme = get.get("scheme", "HTTP").lower()
    return f"{scheme}://{_dialled(get, target)}{get.get('path') or '/'}"


def _dialled(action: dict[str, Any], target: Target) -> str:
    return f"{action.get('host') or target.address}:{target.port(action['port'])}"


def _late(probe: dict[str, Any], target: Target, seconds: float) -> str:
    """Say that no answer came in time, as a kubelet would."""
    if "exec" in probe:
        return f"command {' '.join(probe['exec']['command'])!r} timed out after {seconds}s"
    if "httpGet" in probe:
        return f'Get "{_url(probe["httpGet"], target)}": context deadline exceeded'
    return f"dial tcp {_dialled(probe['tcpSocket'], target)}: i/o timeout"


def _refused(probe: dict[str, Any], target: Target, error: Exception) -> str:
    """Say why there was no answer, as a kubelet would: the same words each time, so that events are counted."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    action = probe.get("httpGet") or probe.get("tcpSocket")
    if isinstance(cause, ValueError) or action is None:
        return str(cause)
    number = cause.errno if isinstance(cause, OSError) else None
    if isinstance(error, aiohttp.ServerDisconnectedError):
        why = "EOF"
    elif number is None:
        why = str(cause)
    else:
        why = f"dial tcp {_dialled(action, target)}: connect: {os.strerror(number).lower()}"
    return f'Get "{_url(action, target)}": {why}' if "httpGet" in probe else why


async def _tcp(probe: dict[str, Any], target: Target) -> tuple[bool, str]:
    socket = probe["tcpSocket"]
    _, writer = await asyncio.open_connection(
        socket.get("host") or target.address, target.port(socket["port"])
    )
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True, ""


async def check(probe: dict[str, Any], target: Target) -> tuple[bool, str]:
    """Ask once; return whether the answer is good, and if not, why."""
    seconds = probe.get("timeoutSeconds", 1)
    try:
        if "exec" in probe:
            code, output = await run_inside(target.process, probe["exec"]["command"], seconds)
            return code == 0, output
        async with asyncio.timeout(seconds):
            return await (_http(probe, target) if "httpGet" in probe else _tcp(probe, target))
    except TimeoutError:
        return False, _late(probe, target, seconds)
    except (OSError, aiohttp.ClientError, ValueError) as error:
        return False, _refused(probe, target, error)


async def verdicts(
    probe: dict[str, Any], target: Target, failed: Callable[[str], None]
) -> AsyncIterator[bool]:
    """Ask again and again; yield each change of the verdict, and call `failed` for each answer that is not good."""
    count = Count()
    await asyncio.sleep(probe.get("initialDelaySeconds", 0))
    while True:
        ok, why = await check(probe, target)
        if not ok:
            failed(why)
        before = count.verdict
        count = count.after(
            ok=ok,
            success_threshold=probe.get("successThreshold", 1),
            failure_threshold=probe.get("failureThreshold", 3),
        )
        if count.verdict is not None and count.verdict != before:
            yield count.verdict
        await asyncio.sleep(probe.get("periodSeconds", 10))
