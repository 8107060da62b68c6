"""Progress of running trainings, pulled from the trainers' HTTP endpoint into memory.

The trainer holds no Kubernetes credentials, so it cannot report by itself; the operator asks it. A trainer that does
not answer is no fault: it may load data, or a network policy may stand in between, and training goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
from pydantic import ValidationError

from distill_api.contract import HTTP_PORT
from distill_api.status import Progress
from distill_operator.kinds import Key

logger = logging.getLogger(__name__)
TIMEOUT = aiohttp.ClientTimeout(total=2.0)
MAX_BYTES = 65536
Heard = Callable[[Key, Progress], None]


@dataclass(frozen=True)
class Target:
    """A running training pod."""

    uid: str
    ip: str

    @property
    def url(self) -> str:
        """Address of its status page."""
        host = f"[{self.ip}]" if ":" in self.ip else self.ip
        return f"http://{host}:{HTTP_PORT}/status"


class Poller:
    """Asks every watched trainer once per interval."""

    def __init__(self, interval: float, heard: Heard) -> None:
        self._interval = interval
        self._heard = heard
        self._targets: dict[Key, Target] = {}

    def watch(self, key: Key, target: Target) -> None:
        """Ask this pod from now on."""
        self._targets[key] = target

    def unwatch(self, key: Key) -> None:
        """No longer ask."""
        self._targets.pop(key, None)

    async def run(self) -> None:
        """Ask until cancelled."""
        async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
            while True:
                targets = list(self._targets.items())
                await asyncio.gather(*(self._ask(session, key, target) for key, target in targets))
                await asyncio.sleep(self._interval)

    async def _ask(self, session: aiohttp.ClientSession, key: Key, target: Target) -> None:
        try:
            async with session.get(target.url) as answer:
                if answer.status == 200:
                    progress = Progress.model_validate_json(await answer.content.read(MAX_BYTES))
                    if self._targets.get(key) == target:
                        self._heard(key, progress)
        except (aiohttp.ClientError, TimeoutError, OSError, ValidationError) as error:
            logger.debug("%s: no progress from %s: %s", key, target.url, error or type(error).__name__)
