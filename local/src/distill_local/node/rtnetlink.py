"""Just enough rtnetlink to wire pods together, so that the node needs no `ip` program.

`network` calls it. Every function works in the network namespace of the calling
thread and raises OSError with the kernel's error number.
"""

from __future__ import annotations

import ipaddress
import socket
import struct

_NEW_LINK, _NEW_ADDRESS, _NEW_ROUTE = 16, 20, 24
_REQUEST, _ACK, _CREATE, _REPLACE, _EXCLUSIVE = 0x1, 0x4, 0x400, 0x100, 0x200
_ERROR = 2
_IFLA_IFNAME, _IFLA_MASTER, _IFLA_LINKINFO, _IFLA_NET_NS_FD = 3, 10, 18, 28
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5
_TABLE_MAIN, TABLE_LOCAL = 254, 255
_PROTO_STATIC, _UNICAST = 4, 1
_SCOPE_UNIVERSE, _SCOPE_LINK = 0, 253
_UP = 1
_ANSWER_BYTES = 65536


def _attribute(kind: int, value: bytes) -> bytes:
    length = 4 + len(value)
    return struct.pack("HH", length, kind) + value + b"\0" * (-length % 4)


def _link(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return struct.pack("BxHiII", socket.AF_UNSPEC, 0, index, flags, change)


def _request(kind: int, flags: int, body: bytes) -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
        netlink.bind((0, 0))
        header = struct.pack("IHHII", 16 + len(body), kind, _REQUEST | _ACK | flags, 1, 0)
        netlink.send(header + body)
        answer = netlink.recv(_ANSWER_BYTES)
    _, answer_kind, _, _, _ = struct.unpack_from("IHHII", answer)
    number = struct.unpack_from("i", answer, 16)[0] if answer_kind == _ERROR else 0
    if number:
        raise OSError(-number, f"rtnetlink request {kind} was refused (error {-number})")


def create_bridge(name: str) -> None:
    """Create a bridge."""
    info = _attribute(_INFO_KIND, b"bridge")
    body = _link() + _attribute(_IFLA_IFNAME, name.encode() + b"\0") + _attribute(_IFLA_LINKINFO, info)
    _request(_NEW_LINK, _CREATE | _EXCLUSIVE, body)


def create_veth(name: str, peer: str, peer_namespace: int) -> None:
    """Create a pair of links; the peer starts its life in the namespace of that descriptor."""
    other = _link() + _attribute(_IFLA_IFNAME, peer.encode() + b"\0")
    other += _attribute(_IFLA_NET_NS_FD, struct.pack("I", peer_namespace))
    info = _attribute(_INFO_KIND, b"veth") + _attribute(_INFO_DATA, _attribute(_VETH_PEER, other))
    body = _link() + _attribute(_IFLA_IFNAME, name.encode() + b"\0") + _attribute(_IFLA_LINKINFO, info)
    _request(_NEW_LINK, _CREATE | _EXCLUSIVE, body)


def set_up(name: str, master: str | None = None) -> None:
    """Bring a link up, as a port of a bridge if one is named."""
    body = _link(socket.if_nametoindex(name), _UP, _UP)
    if master is not None:
        body += _attribute(_IFLA_MASTER, struct.pack("I", socket.if_nametoindex(master)))
    _request(_NEW_LINK, 0, body)


def add_address(name: str, address: ipaddress.IPv4Interface) -> None:
    """Give a link an address."""
    index = socket.if_nametoindex(name)
    body = struct.pack("BBBBi", socket.AF_INET, address.network.prefixlen, 0, _SCOPE_UNIVERSE, index)
    body += _attribute(_IFA_LOCAL, address.packed) + _attribute(_IFA_ADDRESS, address.packed)
    _request(_NEW_ADDRESS, _CREATE | _REPLACE, body)


def _route_header(prefix: int, table: int, scope: int) -> bytes:
    return struct.pack("BBBBBBBBI", socket.AF_INET, prefix, 0, 0, table, _PROTO_STATIC, scope, _UNICAST, 0)


def route_to_link(network: ipaddress.IPv4Network, name: str, table: int = _TABLE_MAIN) -> None:
    """Send what is for a network out of a link."""
    body = _route_header(network.prefixlen, table, _SCOPE_LINK)
    body += _attribute(_RTA_DST, network.network_address.packed)
    body += _attribute(_RTA_OIF, struct.pack("I", socket.if_nametoindex(name)))
    _request(_NEW_ROUTE, _CREATE | _REPLACE, body)


def default_route(gateway: ipaddress.IPv4Address) -> None:
    """Send everything else to a gateway."""
    body = _route_header(0, _TABLE_MAIN, _SCOPE_UNIVERSE) + _attribute(_RTA_GATEWAY, gateway.packed)
    _request(_NEW_ROUTE, _CREATE | _REPLACE, body)
