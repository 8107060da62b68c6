"""From a container's spec to the `Launch` that starts it: reads what it names, decides nothing else.

`runner` calls `prepare` before each start. What is missing raises `ConfigError`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill_local.node.context import Node
from distill_local.node.env import ConfigError, environment, references, texts
from distill_local.node.expand import expand
from distill_local.node.images import Image
from distill_local.node.payload import MissingError
from distill_local.node.process import Launch, Mount
from distill_local.node.quantity import parse_quantity
from distill_local.node.volumes import PodVolumes, read_object

WORKSPACE = "root"  # where each container builds its root, in a mount namespace of its own
TERMINATION_PATH = "/dev/termination-log"
# The programs of this project come first: an "image" here is what is installed beside this Python.
_PATH = f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_GPU = "nvidia.com/gpu"


@dataclass(frozen=True)
class Place:
    """What a container shares with its pod."""

    pod: dict[str, Any]
    address: str
    namespace: int
    volumes: PodVolumes


@dataclass(frozen=True)
class Security:
    """The user and restrictions of one container."""

    user: int
    group: int
    readonly: bool
    no_new_privileges: bool
    drop_capabilities: bool


def security(pod: dict[str, Any], container: dict[str, Any], image: Image) -> Security:
    """Return what a pod's and a container's securityContext mean together; ConfigError if they contradict the image."""
    merged = (pod["spec"].get("securityContext") or {}) | (container.get("securityContext") or {})
    user = merged.get("runAsUser", image.user)
    group = 0 if "runAsUser" in merged else image.group  # an image's group goes with the image's user
    if merged.get("runAsNonRoot") and user == 0:
        raise ConfigError(
            f'container has runAsNonRoot and image will run as root (pod: "{pod["metadata"]["name"]}", '
            f"container: {container['name']}); set securityContext.runAsUser"
        )
    dropped = (merged.get("capabilities") or {}).get("drop") or []
    return Security(
        user,
        merged.get("runAsGroup", group),
        bool(merged.get("readOnlyRootFilesystem")),
        merged.get("allowPrivilegeEscalation") is False,
        "ALL" in dropped,
    )


async def prepare(
    node: Node, place: Place, container: dict[str, Any], image: Image, message_file: Path
) -> Launch:
    """Return how to start a container."""
    pod = place.pod
    namespace = pod["metadata"]["namespace"]
    sources = {}
    for kind, name in references(container):
        try:
            item = await read_object(node.api, namespace, kind, name)
        except MissingError as error:
            raise ConfigError(str(error)) from None
        sources[kind, name] = texts(kind, item.get("data") or {}) if item is not None else None
    given = environment(pod, container, sources, node.surroundings(place.address))
    allowed = security(pod, container, image)
    hostname = pod["spec"].get("hostname") or pod["metadata"]["name"]
    base = {"PATH": _PATH, "HOSTNAME": hostname, "HOME": "/root" if allowed.user == 0 else "/"}
    limits = (container.get("resources") or {}).get("limits") or {}
    folder = node.pod_folder(pod["metadata"]["uid"])
    own = _own_files(folder, place, hostname)
    node.names.enter(pod, place.address, folder / "etc" / "hosts")
    return Launch(
        argv=_argv(container, image, given),
        env=base | image.env | given,
        cwd=container.get("workingDir") or image.working_dir,
        user=allowed.user,
        group=allowed.group,
        hostname=hostname[:63],
        mounts=_mounts(place, container, given, own, message_file),
        hidden=[str(path) for path in node.settings.hidden],
        devices=_gpus() if limits.get(_GPU, "0") != "0" else [],
        readonly=allowed.readonly,
        no_new_privileges=allowed.no_new_privileges,
        drop_capabilities=allowed.drop_capabilities,
        workspace=str(node.settings.state / WORKSPACE),
        network=place.namespace,
        memory_limit=int(parse_quantity(limits["memory"])) if "memory" in limits else None,
    )


def _argv(container: dict[str, Any], image: Image, variables: dict[str, str]) -> list[str]:
    command = container.get("command") or list(image.command)
    arguments = container.get("args") or ([] if container.get("command") else list(image.args))
    argv = [expand(text, variables) for text in [*command, *arguments]]
    if not argv:
        raise ConfigError(
            f"container {container['name']} has no command, and image {container['image']} has no default one"
        )
    return argv


def _mounts(
    place: Place, container: dict[str, Any], variables: dict[str, str], own: list[Mount], message_file: Path
) -> list[Mount]:
    path = container.get("terminationMessagePath") or TERMINATION_PATH
    mounts = [*own, Mount(str(message_file), path)]
    for mount in container.get("volumeMounts") or []:
        try:
            mounts.append(place.volumes.mount(mount, variables))
        except MissingError as error:
            raise ConfigError(str(error)) from None
    return sorted(mounts, key=lambda mount: len(Path(mount.target).parts))


def _own_files(folder: Path, place: Place, hostname: str) -> list[Mount]:
    """Write the files that a kubelet manages in every container."""
    lines = ["127.0.0.1\tlocalhost", f"{place.address}\t{hostname}"]
    aliases = place.pod["spec"].get("hostAliases") or []
    lines += [f"{alias['ip']}\t{' '.join(alias.get('hostnames') or [])}" for alias in aliases]
    texts_by_name = {
        "hosts": "\n".join(lines) + "\n",
        "hostname": hostname + "\n",
        "resolv.conf": "# A local cluster has no name service: names fail at once and not after a timeout.\n",
    }
    mounts = []
    for name, text in texts_by_name.items():
        file = folder / "etc" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        mounts.append(Mount(str(file), f"/etc/{name}"))
    return mounts


def _gpus() -> list[str]:
    return [path.name for path in Path("/dev").glob("nvidia*")]
