"""What the watches have seen, by kind, with indexes. Filled by `handlers`, read by `reconcile` and `rollout`.

Nothing here asks the API server. Events may come twice, late or out of order: an object is replaced by a newer
version only (resourceVersions of one cluster are ordered numbers, KEP-5504), and a deleted uid does not come back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from distill_api.naming import SERVICE_LABEL
from distill_operator.kinds import (
    DISTILLATION_JOB,
    HTTP_ROUTE,
    INFERENCE_SERVICE,
    JOB,
    POD,
    Kind,
    Object,
)

Id = tuple[str, str]
"""Namespace and name."""
Index = Callable[[Object], Iterable[str]]
TOMBSTONES: Final = 4096


def identity(obj: Object) -> Id:
    """Namespace and name of an object."""
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def version_of(obj: Object) -> int:
    """The object's resourceVersion as a number; 0 where there is none."""
    text = obj["metadata"].get("resourceVersion", "")
    return int(text) if text.isdigit() else 0


def owner_uids(obj: Object) -> Iterable[str]:
    """The uids of all owners."""
    return [owner["uid"] for owner in obj["metadata"].get("ownerReferences", [])]


def by_label(label: str) -> Index:
    """An index by `<namespace>/<value of label>`."""

    def values(obj: Object) -> Iterable[str]:
        value = obj["metadata"].get("labels", {}).get(label)
        return [f"{obj['metadata'].get('namespace', '')}/{value}"] if value else []

    return values


def named_service(obj: Object) -> Iterable[str]:
    """`<namespace>/<service>` that a DistillationJob names."""
    kserve = (obj.get("spec", {}).get("serving") or {}).get("kserve") or {}
    name = kserve.get("inferenceService")
    return [f"{obj['metadata'].get('namespace', '')}/{name}"] if name else []


class Store:
    """Objects of one kind."""

    def __init__(self, indexes: Mapping[str, Index] | None = None) -> None:
        self._objects: dict[Id, Object] = {}
        self._indexes = dict(indexes or {})
        self._entries: dict[str, dict[str, set[Id]]] = {name: {} for name in self._indexes}
        self._deleted: OrderedDict[str, None] = OrderedDict()
        self.newest = 0
        """The highest resourceVersion seen."""

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[Object]:
        return iter(list(self._objects.values()))

    def get(self, namespace: str, name: str) -> Object | None:
        """The object, or None."""
        return self._objects.get((namespace, name))

    def select(self, index: str, value: str) -> list[Object]:
        """Objects with `value` in `index`, ordered by name."""
        return [self._objects[key] for key in sorted(self._entries[index].get(value, ()))]

    def put(self, obj: Object) -> bool:
        """Take an object that was seen or just written. False where something as new is known already."""
        metadata = obj["metadata"]
        version = version_of(obj)
        self.newest = max(self.newest, version)
        key = identity(obj)
        known = self._objects.get(key)
        same = known is not None and known["metadata"].get("uid") == metadata.get("uid")
        if metadata.get("uid") in self._deleted or (known and same and version_of(known) >= version):
            return False
        if known and not same and version_of(known) > version:
            return False
        self._set(key, obj)
        return True

    def remove(self, obj: Object) -> bool:
        """Take note of a deletion. False where another object has the name by now."""
        uid = obj["metadata"].get("uid", "")
        self._deleted[uid] = None
        if len(self._deleted) > TOMBSTONES:
            self._deleted.popitem(last=False)
        self.newest = max(self.newest, version_of(obj))
        key = identity(obj)
        known = self._objects.get(key)
        if known is None or known["metadata"].get("uid") != uid:
            return False
        self._unset(key)
        return True

    def replace(self, items: list[Object], version: int, newest_before: int) -> list[Object]:
        """Take a whole list, read at `version`; returns the objects that changed or went.

        Deletions between two watches are seen here alone: a watch that starts again does not tell them.
        `newest_before` is `newest` from before the request: a list older than that comes from a restored backup,
        and then it is believed rather than the memory.
        """
        restored = version < newest_before
        changed = []
        if restored:
            changed, self.newest = list(self), version
            for key in list(self._objects):
                self._unset(key)
            self._deleted.clear()
        listed = {identity(obj) for obj in items}
        for key, known in list(self._objects.items()):
            if key not in listed and version_of(known) <= version:
                self._unset(key)
                changed.append(known)
        return changed + [obj for obj in items if self.put(obj)]

    def _set(self, key: Id, obj: Object) -> None:
        self._unset(key)
        obj["metadata"].pop("managedFields", None)
        self._objects[key] = obj
        for name, index in self._indexes.items():
            for value in index(obj):
                self._entries[name].setdefault(value, set()).add(key)

    def _unset(self, key: Id) -> None:
        known = self._objects.pop(key, None)
        if known is None:
            return
        for name, index in self._indexes.items():
            for value in index(known):
                entry = self._entries[name].get(value)
                if entry is not None:
                    entry.discard(key)
                    if not entry:
                        del self._entries[name][value]


class Caches:
    """One store per watched kind. `served` holds the optional kinds that the cluster has."""

    def __init__(self) -> None:
        self._stores: dict[Kind, Store] = {
            DISTILLATION_JOB: Store({"service": named_service}),
            JOB: Store({"owner": owner_uids}),
            POD: Store({"owner": owner_uids, "service": by_label(SERVICE_LABEL)}),
            INFERENCE_SERVICE: Store({"service": by_label(SERVICE_LABEL)}),
            HTTP_ROUTE: Store({"service": by_label(SERVICE_LABEL)}),
        }
        self.served: set[Kind] = set()

    def __getitem__(self, kind: Kind) -> Store:
        return self._stores[kind]

    def __contains__(self, kind: Kind) -> bool:
        return kind in self._stores
