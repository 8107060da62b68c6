"""What the command line of `python -m distill_local.node` says, checked once."""

from __future__ import annotations

import argparse
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from distill_local.node.images import ImageTable, read_images
from distill_local.node.quantity import parse_quantity

KUBELET_PORT = 10250


@dataclass(frozen=True)
class Settings:
    """Everything that the node is told; paths are absolute."""

    kubeconfig: Path
    state: Path
    hidden: tuple[Path, ...]
    name: str
    address: str
    pod_range: ipaddress.IPv4Network
    capacity: dict[str, str]
    images: ImageTable
    api_host: str
    api_port: int
    serving_cert: Path
    serving_key: Path
    client_ca: Path


def _pair(text: str) -> tuple[str, str]:
    name, equals, quantity = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=QUANTITY; write for example nvidia.com/gpu=2")
    try:
        parse_quantity(quantity)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return name, quantity


def _path(text: str) -> Path:
    return Path(text).absolute()


def _covers(folders: list[Path], path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def parse_arguments(argv: list[str]) -> Settings:
    """Read the command line; argparse ends the program with a sentence if it is wrong."""
    parser = argparse.ArgumentParser("python -m distill_local.node", description=__doc__)
    for flag in ("--kubeconfig", "--state", "--images", "--serving-cert", "--serving-key", "--client-ca"):
        parser.add_argument(flag, required=True, type=_path)
    parser.add_argument(
        "--hide", action="append", default=[], type=_path, help="a folder that no pod may see, repeatable"
    )
    parser.add_argument("--name", required=True, help="name of the Node object")
    parser.add_argument("--address", required=True, help="the node's own address, for logs and health")
    parser.add_argument("--pod-cidr", required=True, type=ipaddress.IPv4Network, help="addresses for pods")
    parser.add_argument(
        "--capacity", action="append", default=[], type=_pair, help="resource=quantity, repeatable"
    )
    parser.add_argument("--api-server", required=True, help="host:port that pods reach the API server by")
    given = parser.parse_args(argv)
    host, _, port = given.api_server.rpartition(":")
    if not port.isdigit():
        parser.error(f"--api-server {given.api_server!r} is not HOST:PORT")
    try:
        images = read_images(given.images)
    except (OSError, ValueError) as error:
        parser.error(f"--images: {error}")
    return Settings(
        kubeconfig=given.kubeconfig,
        state=given.state,
        # Below the state are other pods' secrets: never to be seen, whatever else is hidden.
        hidden=tuple(given.hide) if _covers(given.hide, given.state) else (*given.hide, given.state),
        name=given.name,
        address=given.address,
        pod_range=given.pod_cidr,
        capacity={"cpu": "4", "memory": "8Gi", "pods": "110", "ephemeral-storage": "20Gi"}
        | dict(given.capacity),
        images=images,
        api_host=host,
        api_port=int(port),
        serving_cert=given.serving_cert,
        serving_key=given.serving_key,
        client_ca=given.client_ca,
    )
