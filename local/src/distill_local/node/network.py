"""The pods' network: a bridge, and for each pod a network namespace with an address of its own.

`pod` asks for a `PodNetwork`. The namespace lives as long as the node holds its
descriptor or a process runs in it; when the node dies, the kernel takes it away,
links included. Nothing is routed beyond this machine.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from distill_local.node import rtnetlink
from distill_local.node.inside import syscalls as sys_

BRIDGE = "distill0"


@dataclass(frozen=True)
class PodNetwork:
    """A pod's network namespace and its address."""

    namespace: int
    address: str

    def close(self) -> None:
        """Give the namespace up; it ends with its last process."""
        os.close(self.namespace)


def _in_thread(work: Callable[[], None]) -> None:
    """Run work in a thread of its own: namespaces belong to threads, and this one is thrown away."""
    errors: list[OSError] = []

    def run() -> None:
        try:
            work()
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]


def _new_namespace() -> int:
    found: list[int] = []

    def work() -> None:
        sys_.unshare(sys_.CLONE_NEWNET)
        found.append(
            os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        )
        rtnetlink.set_up("lo")

    _in_thread(work)
    return found[0]


@dataclass
class Network:
    """The bridge and the addresses that are in use."""

    range: ipaddress.IPv4Network
    used: set[str] = field(default_factory=set)
    next: int = 2

    @property
    def gateway(self) -> ipaddress.IPv4Address:
        """The bridge's own address, by which pods reach the API server."""
        return self.range[1]

    def create_bridge(self) -> None:
        """Create the bridge, or take over the one that a node before this one left."""
        with contextlib.suppress(FileExistsError):
            rtnetlink.create_bridge(BRIDGE)
        rtnetlink.add_address(BRIDGE, ipaddress.IPv4Interface(f"{self.gateway}/{self.range.prefixlen}"))
        rtnetlink.set_up(BRIDGE)
        # The supervisor makes a wider range local to this machine; the longer prefix takes the pods' part out.
        rtnetlink.route_to_link(self.range, BRIDGE, rtnetlink.TABLE_LOCAL)

    def _take_address(self) -> str:
        for _ in range(self.range.num_addresses):
            address = str(self.range[self.next])
            self.next = self.next + 1 if self.next + 2 < self.range.num_addresses else 2
            if address not in self.used:
                self.used.add(address)
                return address
        raise OSError(
            f"every address of {self.range} is in use: delete pods or give the node a wider --pod-cidr"
        )

    def attach(self) -> PodNetwork:
        """Make a namespace with `lo`, `eth0` and a default route, and return it with its address."""
        address = self._take_address()
        namespace = _new_namespace()
        name = f"pod{secrets.token_hex(5)}"
        rtnetlink.create_veth(name, "eth0", namespace)
        rtnetlink.set_up(name, master=BRIDGE)

        def work() -> None:
            sys_.setns(namespace, sys_.CLONE_NEWNET)
            rtnetlink.add_address("eth0", ipaddress.IPv4Interface(f"{address}/{self.range.prefixlen}"))
            rtnetlink.set_up("eth0")
            rtnetlink.default_route(self.gateway)

        _in_thread(work)
        return PodNetwork(namespace, address)

    def detach(self, network: PodNetwork) -> None:
        """Give a pod's namespace and address back."""
        network.close()
        self.used.discard(network.address)
