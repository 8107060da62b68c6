"""The root filesystem of a container: this machine's own, seen through a layer of the container's.

`enter` calls `build`. The kernel refuses `/` as the lower side of an overlay in a
user namespace as soon as something is mounted below it. So the new root is a tmpfs
in which each folder of `/` that has no mount below it becomes an overlay (writes go
to memory and vanish with the container), each folder that has one becomes a plain
folder filled the same way, and what cannot be overlaid is bound read-only.
"""

# Paths of two roots are joined and cut as text here, and a container should not wait for pathlib
# ruff: noqa: PTH101, PTH102, PTH103, PTH110, PTH112, PTH114, PTH115, PTH116, PTH120, PTH123, PTH208, PTH211

from __future__ import annotations

import errno
import os
import stat
import sys

from distill_local.node.inside import syscalls as sys_

TYPE_CHECKING = False  # typing is one of the imports that a container should not wait for
if TYPE_CHECKING:
    from typing import Any

_OWN = ("dev", "proc", "sys")
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_DEVICE_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "fd/0",
    "stdout": "fd/1",
    "stderr": "fd/2",
    "ptmx": "pts/ptmx",
}
_SYMLINKS_AT_MOST = 40


class _Root:
    """The new root while it is built; `base` are the mounts that make it up, without volumes."""

    def __init__(self, root: str, layer: str, mount_points: frozenset[str]) -> None:
        self.root, self.layer, self.mount_points = root, layer, mount_points
        self.base = [root]
        self.layers = 0

    def place(self, source: str, target: str) -> None:
        """Show one file or folder of this machine at the same path of the new root."""
        mode = os.lstat(source).st_mode
        if stat.S_ISLNK(mode):
            os.symlink(os.readlink(source), target)
        elif not stat.S_ISDIR(mode):
            _touch(target)
            self.bind(source, target)
        elif any(point.startswith(source + "/") for point in self.mount_points):
            os.mkdir(target)
            self.fill(source, target)
            os.chmod(target, stat.S_IMODE(mode))
        else:
            os.mkdir(target)
            self.overlay(source, target)

    def fill(self, source: str, target: str) -> None:
        """Place what a folder holds, except what this user may not see."""
        try:
            names = sorted(os.listdir(source))
        except PermissionError:
            return
        for name in names:
            try:
                self.place(f"{source.rstrip('/')}/{name}", f"{target}/{name}")
            except (PermissionError, FileNotFoundError):
                continue

    def overlay(self, source: str, target: str) -> None:
        """Lay a writable layer over a folder; where the kernel will not, bind it read-only."""
        self.layers += 1
        upper, work = f"{self.layer}/{self.layers}/upper", f"{self.layer}/{self.layers}/work"
        os.makedirs(upper)
        os.mkdir(work)
        os.chmod(upper, stat.S_IMODE(os.stat(source).st_mode))
        options = f"lowerdir={_escaped(source)},upperdir={upper},workdir={work},userxattr"
        try:
            sys_.mount("overlay", target, "overlay", 0, options)
        except OSError:
            self.bind(source, target)
        else:
            self.base.append(target)

    def bind(self, source: str, target: str) -> None:
        sys_.mount(source, target, None, sys_.MS_BIND | sys_.MS_REC)
        sys_.make_readonly(target, recursive=True)

    def mount_target(self, path: str, *, folder: bool) -> str:
        """Return where to mount, made when it does not exist, at an absolute path of the container."""
        target = resolve(self.root, path)
        if not os.path.lexists(target):
            self._make_parents(os.path.dirname(target))
            os.mkdir(target) if folder else _touch(target)
        return target

    def _make_parents(self, target: str) -> None:
        if not os.path.isdir(target):
            self._make_parents(os.path.dirname(target))
            os.mkdir(target)
        if not os.access(target, os.W_OK):
            # A read-only bind: a fresh folder in its place shows the same things and takes one more.
            source = target[len(self.root) :]
            sys_.mount("tmpfs", target, "tmpfs", sys_.MS_NOSUID | sys_.MS_NODEV, "mode=755")
            self.base.append(target)
            self.fill(source, target)


def _touch(path: str) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))


def _escaped(path: str) -> str:
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


def resolve(root: str, path: str) -> str:
    """Follow symbolic links as a process whose root is `root` would; missing parts stay as they are.

    Raises OSError (ELOOP) when the links lead in a circle.
    """
    done, links = "", 0
    rest = _parts(path)
    while rest:
        part = rest.pop(0)
        here = f"{root}{done}/{part}"
        if part == "..":
            done = os.path.dirname(done) if done else ""
        elif os.path.islink(here):
            links += 1
            if links > _SYMLINKS_AT_MOST:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            link = os.readlink(here)
            done = "" if link.startswith("/") else done
            rest = _parts(link) + rest
        else:
            done = f"{done}/{part}"
    return root + done


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in {"", "."}]


def _mount_points() -> frozenset[str]:
    with open("/proc/self/mountinfo") as file:
        lines = file.read().splitlines()
    paths = (line.split()[4] for line in lines)
    return frozenset(
        path.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\") for path in paths
    )


def _devices(root: str, extra: list[str]) -> None:
    dev = f"{root}/dev"
    os.mkdir(dev)
    sys_.mount("tmpfs", dev, "tmpfs", sys_.MS_NOSUID, "mode=755,size=64m")
    for name in (*_DEVICES, *extra):
        source, target = f"/dev/{name}", f"{dev}/{name}"
        if os.path.isdir(source):
            os.mkdir(target)
        elif os.path.exists(source):
            _touch(target)
        else:
            continue
        sys_.mount(source, target, None, sys_.MS_BIND | sys_.MS_REC)
    for name, link in _DEVICE_LINKS.items():
        os.symlink(link, f"{dev}/{name}")
    for name in ("pts", "shm"):
        os.mkdir(f"{dev}/{name}")
    sys_.mount(
        "devpts",
        f"{dev}/pts",
        "devpts",
        sys_.MS_NOSUID | sys_.MS_NOEXEC,
        "newinstance,ptmxmode=0666,mode=0620",
    )
    sys_.mount("tmpfs", f"{dev}/shm", "tmpfs", sys_.MS_NOSUID | sys_.MS_NODEV, "mode=1777")


def _place_top(made: _Root, name: str) -> None:
    try:
        made.place(f"/{name}", f"{made.root}/{name}")
    except (PermissionError, FileNotFoundError):
        return  # not for this user's eyes: the container does without it


def _hide(root: str, path: str) -> None:
    target = resolve(root, path)
    if os.path.isdir(target):
        sys_.mount("tmpfs", target, "tmpfs", sys_.MS_RDONLY, "mode=555")


def _mount_volume(made: _Root, volume: dict[str, Any]) -> str:
    source = volume["source"]
    target = made.mount_target(volume["target"], folder=os.path.isdir(source))
    sys_.mount(source, target, None, sys_.MS_BIND | sys_.MS_REC)
    _keep_programs(made, source, volume["target"].rstrip("/"))
    if volume["readonly"]:
        sys_.make_readonly(target, recursive=True)
    return target


def _keep_programs(made: _Root, source: str, target: str) -> None:
    """Show what the containers run from even where a volume covers it: a checkout below /tmp under an emptyDir at /tmp."""
    checkout = __file__.rsplit("/local/src/", 1)[0]
    for folder in {checkout, sys.prefix, sys.base_prefix}:
        if folder.startswith(f"{target}/") and os.path.isdir(folder):
            os.makedirs(source + folder[len(target) :], exist_ok=True)
            made.bind(folder, made.mount_target(folder, folder=True))


def build(spec: dict[str, Any]) -> str:
    """Make the root that `spec` describes in this (new) mount namespace and return its path.

    `spec` has workspace (an empty folder), mounts (source, target, readonly, in the
    order of their targets), hidden (folders of this machine to cover), devices, readonly.
    """
    sys_.mount("none", "/", None, sys_.MS_REC | sys_.MS_PRIVATE)
    # What is mounted below a hidden folder (a pod's emptyDir in memory) is hidden with it.
    points = frozenset(
        point for point in _mount_points() if not any(point.startswith(f"{path}/") for path in spec["hidden"])
    )
    workspace = spec["workspace"]
    sys_.mount("tmpfs", workspace, "tmpfs", sys_.MS_NODEV, "mode=755")
    root, layer = f"{workspace}/root", f"{workspace}/layer"
    for folder in (root, layer):
        os.mkdir(folder)
    sys_.mount("tmpfs", root, "tmpfs", sys_.MS_NODEV, "mode=755")
    made = _Root(root, layer, points)
    for name in sorted(os.listdir("/")):
        if name not in _OWN:
            _place_top(made, name)
    os.mkdir(f"{root}/proc")
    os.mkdir(f"{root}/sys")
    made.bind("/sys", f"{root}/sys")
    _devices(root, spec["devices"])
    for path in spec["hidden"]:
        _hide(root, path)
    targets = [_mount_volume(made, volume) for volume in spec["mounts"]]
    if spec["readonly"]:
        for path in made.base:
            if not any(path == target or path.startswith(target + "/") for target in targets):
                sys_.make_readonly(path)
    return root
