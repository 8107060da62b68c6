"""Where things are: the folders of a cluster outside, the addresses and ports inside its namespaces.

Inside, nothing is configurable, because nothing there can collide: each cluster has a network of its own. Used by every other module.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from distill_local.errors import LocalClusterError

# The cluster's own parts; pods get theirs from POD_CIDR, by the process node.
LOCAL_RANGE = "10.245.0.0/24"
API_ADDRESS = "10.245.0.1"
API_PORT = 6443
NODE_ADDRESS = "10.245.0.2"
NODE_NAME = "local"
POD_CIDR = "10.245.16.0/20"
SERVICE_CIDR = "10.96.0.0/16"
GATEWAY_PORT = 80
# Above what pods use: one that listens on every address must not find a port taken by a part of the cluster.
GATEWAY_METRICS_PORT = 19100
KSERVE_HEALTH_PORT = 19081
ETCD_PORT = 2379

API_URL = f"https://{API_ADDRESS}:{API_PORT}"

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")


def state_home() -> Path:
    """Return the folder that holds one folder for each cluster (`$XDG_STATE_HOME/distill`)."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base).expanduser().resolve() / "distill"


@dataclass(frozen=True)
class ClusterPaths:
    """The files of one cluster, all below `root`; the folder is what makes a cluster exist."""

    root: Path

    @classmethod
    def of(cls, name: str) -> "ClusterPaths":
        """Return the paths of the cluster `name`; raise LocalClusterError if it cannot be a folder's name."""
        if not _NAME.fullmatch(name):
            msg = f"--name {name!r} is not a cluster's name: use 1 to 40 of a-z, 0-9 and -, for example demo."
            raise LocalClusterError(msg)
        return cls(state_home() / name)

    @property
    def lock(self) -> Path:
        """Return the file locked while `up` or `down` works on this cluster; `down` removes it last."""
        return self.root.with_name(f".{self.root.name}.lock")

    @property
    def config(self) -> Path:
        """Return the JSON file of the ClusterConfig that the supervisor runs."""
        return self.root / "cluster.json"

    @property
    def status(self) -> Path:
        """Return the JSON file that the supervisor keeps current: phase, steps, components."""
        return self.root / "status.json"

    @property
    def kubeconfig(self) -> Path:
        """Return the kubeconfig for use from outside the namespaces."""
        return self.root / "kubeconfig"

    @property
    def pki(self) -> Path:
        """Return the folder of keys and certificates."""
        return self.root / "pki"

    @property
    def logs(self) -> Path:
        """Return the folder with one log for each component."""
        return self.root / "logs"

    @property
    def etcd(self) -> Path:
        """Return etcd's data folder."""
        return self.root / "etcd"

    @property
    def node(self) -> Path:
        """Return the process node's folder: volumes of claims and the files of pods."""
        return self.root / "node"

    @property
    def images(self) -> Path:
        """Return the table from image repositories to commands that the process node runs."""
        return self.root / "images.yaml"

    @property
    def kserve_tmp(self) -> Path:
        """Return the folder that KServe's controller takes for its temporary one: its webhook certificate is there."""
        return self.root / "kserve"
