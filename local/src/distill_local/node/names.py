"""Pods of one subdomain find each other by name, as a headless Service and a cluster's name service would let them.

There is no name service here, so the names stand in each pod's /etc/hosts: whenever one comes or goes, the files of all are
written anew, in place, since they are mounted. https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class _Entry:
    line: str
    own: str
    hosts: Path


@dataclass
class Names:
    """The pods that run, by namespace and subdomain."""

    groups: dict[tuple[str, str], dict[str, _Entry]] = field(default_factory=dict)

    def enter(self, pod: dict[str, Any], address: str, hosts: Path) -> None:
        """Add a pod whose own lines `hosts` holds already; one without a subdomain has no name for others."""
        group = _group(pod)
        if group is None:
            return
        namespace, subdomain = group
        short = f"{pod['spec'].get('hostname') or pod['metadata']['name']}.{subdomain}"
        line = f"{address}\t{short} {short}.{namespace} {short}.{namespace}.svc.cluster.local\n"
        entry = _Entry(line, hosts.read_text(), hosts)
        self.groups.setdefault(group, {})[pod["metadata"]["uid"]] = entry
        self._write(group)

    def leave(self, pod: dict[str, Any]) -> None:
        """Remove a pod: its address may be another's soon."""
        group = _group(pod)
        if group is None or group not in self.groups:
            return
        self.groups[group].pop(pod["metadata"]["uid"], None)
        self._write(group)

    def _write(self, group: tuple[str, str]) -> None:
        entries = list(self.groups[group].values())
        lines = "".join(entry.line for entry in entries)
        for entry in entries:
            entry.hosts.write_text(entry.own + lines)


def _group(pod: dict[str, Any]) -> tuple[str, str] | None:
    subdomain = pod["spec"].get("subdomain")
    return (pod["metadata"]["namespace"], subdomain) if subdomain else None
