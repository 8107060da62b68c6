"""Lists: before the watches start, and from time to time.

A watch that has to start again (410 Gone, connection lost) lists what is there and never tells what went in between;
a list that replaces the caches does. It is also the only moment in which the operator reads at all.
"""

from __future__ import annotations

from dataclasses import dataclass

from distill_api.naming import ROLE_LABEL
from distill_operator.cache import Caches
from distill_operator.cluster import Cluster
from distill_operator.handlers.events import keys_of
from distill_operator.kinds import JOB, POD, Key, Kind
from distill_operator.settings import Settings

SELECTORS: dict[Kind, str] = {JOB: ROLE_LABEL, POD: ROLE_LABEL}
"""Jobs and pods that are none of ours are not watched."""


@dataclass(frozen=True)
class Lister:
    """Fills caches by lists."""

    cluster: Cluster
    caches: Caches
    settings: Settings

    async def list(self, kinds: tuple[Kind, ...]) -> set[Key]:
        """List `kinds` into the caches; the keys that objects which changed or went concern."""
        keys: set[Key] = set()
        for kind in kinds:
            before = self.caches[kind].newest
            items, version = [], 0
            for namespace in self.settings.namespaces or (None,):
                some, version = await self.cluster.list(kind, namespace, SELECTORS.get(kind, ""))
                items += some
            changed = self.caches[kind].replace(items, version, before)
            keys = keys.union(*(keys_of(self.caches, kind, obj) for obj in changed))
        return keys

    def all_keys(self, kinds: tuple[Kind, ...]) -> set[Key]:
        """The keys of everything in the caches."""
        return {key for kind in kinds for obj in self.caches[kind] for key in keys_of(self.caches, kind, obj)}
