"""The few Linux calls that Python 3.11 does not offer, for `enter`, `rootfs` and the node's network.

Every function raises OSError with the kernel's error number.
"""

from __future__ import annotations

import ctypes
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MNT_DETACH = 2

_SYS_MOUNT_SETATTR = 442  # one number on every architecture
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38

_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def unshare(flags: int) -> None:
    """Give the calling thread new namespaces."""
    _check(_libc.unshare(flags), "unshare")


def setns(descriptor: int, kind: int) -> None:
    """Move the calling thread into the namespace that the descriptor refers to."""
    _check(_libc.setns(descriptor, kind), "setns")


def set_hostname(name: str) -> None:
    """Name this uts namespace."""
    encoded = name.encode()
    _check(_libc.sethostname(encoded, ctypes.c_size_t(len(encoded))), "sethostname")


def mount(source: str, target: str, kind: str | None, flags: int = 0, data: str = "") -> None:
    """Mount a filesystem, or bind a path when flags has MS_BIND."""
    kind_bytes = kind.encode() if kind else None
    result = _libc.mount(source.encode(), target.encode(), kind_bytes, ctypes.c_ulong(flags), data.encode())
    _check(result, target)


def unmount(target: str) -> None:
    """Take a mount away at once; what still uses it keeps it."""
    _check(_libc.umount2(target.encode(), MNT_DETACH), target)


def make_readonly(target: str, *, recursive: bool = False) -> None:
    """Make a mount (and those below it) read-only and keep its other flags (Linux 5.12)."""
    attributes = _MountAttributes(MS_RDONLY, 0, 0, 0)
    flags = _AT_RECURSIVE if recursive else 0
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    result = _libc.syscall(
        _SYS_MOUNT_SETATTR, _AT_FDCWD, target.encode(), ctypes.c_uint(flags), ctypes.byref(attributes), size
    )
    _check(result, target)


def pivot_root(new_root: str) -> None:
    """Make a mount point the root of this mount namespace and forget the old root."""
    os.chdir(new_root)
    _check(_libc.syscall(_SYS_PIVOT_ROOT[os.uname().machine], b".", b"."), new_root)
    unmount(".")
    os.chdir("/")


def die_with_parent() -> None:
    """Ask for SIGKILL when the thread that forked this process ends."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0), "prctl")


def forbid_new_privileges() -> None:
    """What `allowPrivilegeEscalation: false` means to the kernel."""
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")


def drop_capabilities() -> None:
    """Empty the bounding set, so that the next exec has no capability even as root."""
    for capability in range(64):
        if _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break  # past the last capability of this kernel
