"""What `distill status` tells about a cluster, read from its folder and its processes."""

from dataclasses import dataclass
from pathlib import Path

from distill_local.cluster import api_is_ready
from distill_local.config import ClusterConfig, ClusterStatus
from distill_local.layout import ClusterPaths
from distill_local.lifecycle import is_running


@dataclass(frozen=True)
class Overview:
    """One cluster in one line, ready to print."""

    name: str
    state: str
    api_url: str
    gateway_url: str
    gpus: str
    restarts: str
    kubeconfig: Path


def overview(name: str) -> Overview:
    """Return the overview of the cluster `name`."""
    paths = ClusterPaths.of(name)
    config = ClusterConfig.read(paths.config)
    status = ClusterStatus.read(paths.status)
    if config is None:
        return Overview(name, "never started", "", "", "", "", paths.kubeconfig)
    restarts = {part: count for part, count in status.restarts.items() if count} if status else {}
    return Overview(
        name=name,
        state=_state(paths, config, status),
        api_url=f"https://127.0.0.1:{config.api_port}",
        gateway_url=f"http://127.0.0.1:{config.gateway_port}" if config.kserve else "none",
        gpus=str(config.gpus),
        restarts=", ".join(f"{part} {count}" for part, count in restarts.items()) or "none",
        kubeconfig=paths.kubeconfig,
    )


def _state(paths: ClusterPaths, config: ClusterConfig, status: ClusterStatus | None) -> str:
    """Return one word for what is seen; the supervisor's own word counts only while it runs and the API server answers."""
    if not is_running(paths):
        return "stopped"
    phase = status.phase if status else "starting"
    if phase == "ready" and not api_is_ready(paths, config):
        return "unhealthy"
    return phase
