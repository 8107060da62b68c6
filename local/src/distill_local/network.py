"""Addresses inside the cluster's network namespace, without the `ip` program. Called once by the supervisor.

An address with a netmask on the loopback interface makes the whole range local: every address of 10.245.0.0/24 can be
bound by a part of the cluster without an interface of its own. Loopback's own 127.0.0.0/8 will not do, since EndpointSlices refuse it.
"""

import fcntl
import ipaddress
import socket
import struct

# From <linux/sockios.h> and <linux/if.h>.
_SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8913, 0x8914
_SIOCSIFADDR, _SIOCSIFNETMASK = 0x8916, 0x891C
_IFF_UP = 1


def make_range_local(cidr: str, address: str) -> None:
    """Bring `lo` up and make every address of `cidr` local to this network namespace; `address` is what `lo:1` gets."""
    netmask = str(ipaddress.ip_network(cidr).netmask)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        _set_up(control, "lo")
        fcntl.ioctl(control, _SIOCSIFADDR, _address_request("lo:1", address))
        fcntl.ioctl(control, _SIOCSIFNETMASK, _address_request("lo:1", netmask))


def _set_up(control: socket.socket, interface: str) -> None:
    name = interface.encode()
    answer = fcntl.ioctl(control, _SIOCGIFFLAGS, struct.pack("16sh14x", name, 0))
    (flags,) = struct.unpack_from("h", answer, 16)
    fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", name, flags | _IFF_UP))


def _address_request(interface: str, address: str) -> bytes:
    """Return `struct ifreq` with a `struct sockaddr_in`: 16 bytes of name, family, port, address, 8 bytes of padding."""
    return struct.pack("16sHH4s8x", interface.encode(), socket.AF_INET, 0, socket.inet_aton(address))
