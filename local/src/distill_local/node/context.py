"""What every pod of the node shares: settings, the API, the network, events."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from distill_local.node.api import Api
from distill_local.node.env import Surroundings
from distill_local.node.events import Events
from distill_local.node.names import Names
from distill_local.node.network import Network
from distill_local.node.settings import Settings


@dataclass(frozen=True)
class Node:
    """Handed to each pod worker."""

    settings: Settings
    api: Api
    network: Network
    events: Events
    names: Names = field(default_factory=Names)

    def pod_folder(self, uid: str) -> Path:
        """Return the folder that holds everything of one pod."""
        return self.settings.state / "pods" / uid

    def log_folder(self, uid: str) -> Path:
        """Return the folder of a pod's logs, which stays as long as the pod object."""
        return self.pod_folder(uid) / "logs"

    def surroundings(self, address: str) -> Surroundings:
        """Return what the environment of a pod with this address takes from the node."""
        host, port = self.settings.api_host, str(self.settings.api_port)
        service = {
            "KUBERNETES_SERVICE_HOST": host,
            "KUBERNETES_SERVICE_PORT": port,
            "KUBERNETES_SERVICE_PORT_HTTPS": port,
        }
        return Surroundings(
            {"podIP": address, "hostIP": self.settings.address}, self.settings.capacity, service
        )
