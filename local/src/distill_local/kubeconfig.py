"""Kubeconfig files: one for people outside, one for each part of the cluster inside."""

import base64
from pathlib import Path
from typing import Any

import yaml

from distill_local.files import write_atomic
from distill_local.pki import Identity, Pki


def write_kubeconfig(path: Path, cluster: str, server: str, pki: Pki, identity: Identity) -> None:
    """Write a kubeconfig for `identity` at `server` (a URL), with keys and certificates inside the file."""
    write_atomic(path, yaml.safe_dump(_kubeconfig(cluster, server, pki, identity)))


def _kubeconfig(cluster: str, server: str, pki: Pki, identity: Identity) -> dict[str, Any]:
    context = f"distill-{cluster}"
    user = {
        "client-certificate-data": _encoded(pki.certificate(identity)),
        "client-key-data": _encoded(pki.key(identity)),
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": context, "cluster": {"server": server, "certificate-authority-data": _encoded(pki.ca)}},
        ],
        "users": [{"name": identity.user, "user": user}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": identity.user}}],
        "current-context": context,
    }


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode("ascii")
