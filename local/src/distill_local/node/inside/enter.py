"""Starts one container: namespaces, root filesystem, user, then the container's own program.

The node runs `python -S -m distill_local.node.inside.enter`, with the description on
standard input, as of marshal: both sides are one interpreter, and importing json would
make this program's start 40 ms instead of 25 ms, for each container and each exec probe.
It answers on a pipe, a word and a text a line:
`pid` once the program runs, `error` if it cannot, `status` (as of waitpid) when it
has ended. With `join: <pid>` in the description it runs a program in that container
instead (exec probes and hooks).

The program is process 1 of its own pid namespace: when it ends, the kernel ends
whatever it started, and when the node dies, the kernel ends the program.
"""

# Paths of two roots are joined and cut as text here, and a container should not wait for pathlib
# ruff: noqa: PTH103, PTH123

from __future__ import annotations

import marshal
import os
import sys

from distill_local.node.inside import rootfs
from distill_local.node.inside import syscalls as sys_

TYPE_CHECKING = False  # typing is one of the imports that a container should not wait for
if TYPE_CHECKING:
    from typing import Any

_NEW = sys_.CLONE_NEWNS | sys_.CLONE_NEWUTS | sys_.CLONE_NEWIPC | sys_.CLONE_NEWPID
_JOINED = (
    ("net", sys_.CLONE_NEWNET),
    ("uts", sys_.CLONE_NEWUTS),
    ("ipc", sys_.CLONE_NEWIPC),
    ("pid", sys_.CLONE_NEWPID),
    ("mnt", sys_.CLONE_NEWNS),
)


def _say(descriptor: int, word: str, text: object) -> None:
    line = " ".join(str(text).splitlines())
    os.write(descriptor, f"{word} {line}\n".encode())


def _become_user(user: int, group: int) -> None:
    """Show the node's own user as `user` in a user namespace of the container's own."""
    sys_.unshare(sys_.CLONE_NEWUSER)
    for name, text in (("uid_map", f"{user} 0 1"), ("setgroups", "deny"), ("gid_map", f"{group} 0 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _execute(spec: dict[str, Any], answer: int) -> None:
    """Replace this process by the program; returns only by an exception."""
    try:
        os.chdir(spec["cwd"])
    except FileNotFoundError as error:
        if spec.get("join"):
            raise
        try:
            os.makedirs(spec["cwd"])
        except OSError:
            raise error from None
        os.chdir(spec["cwd"])
    if spec["drop_capabilities"]:
        sys_.drop_capabilities()
    if spec["no_new_privileges"]:
        sys_.forbid_new_privileges()
    sys_.die_with_parent()
    argv, env = spec["argv"], spec["env"]
    try:
        os.execvpe(argv[0], argv, env)  # noqa: S606 - the container is this process
    except FileNotFoundError:
        where = "no such file or directory" if "/" in argv[0] else "executable file not found in $PATH"
        _say(answer, "error", f'exec: "{argv[0]}": {where}')
    except OSError as error:
        _say(answer, "error", f'exec: "{argv[0]}": {(error.strerror or "failed").lower()}')


def _new_container(spec: dict[str, Any]) -> str:
    if spec["network"] is not None:
        sys_.setns(spec["network"], sys_.CLONE_NEWNET)
    sys_.unshare(_NEW)
    sys_.set_hostname(spec["hostname"])
    return rootfs.build(spec)


def _child(spec: dict[str, Any], answer: int, root: str | None, user_namespace: int | None) -> None:
    os.setsid()
    sys_.die_with_parent()
    if root is not None:
        sys_.mount("proc", f"{root}/proc", "proc", sys_.MS_NOSUID | sys_.MS_NODEV | sys_.MS_NOEXEC)
        sys_.pivot_root(root)
        os.umask(0o022)
        _become_user(spec["user"], spec["group"])
    elif user_namespace is not None:
        sys_.setns(user_namespace, sys_.CLONE_NEWUSER)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    _execute(spec, answer)


def main() -> int:
    """Read the description, start the program, wait for it, report how it ended."""
    answer = int(sys.argv[1])
    os.set_inheritable(answer, False)
    sys_.die_with_parent()
    spec = marshal.loads(sys.stdin.buffer.read())  # noqa: S302 - from the node itself
    root = user_namespace = None
    try:
        if spec.get("join"):
            user_namespace = os.open(f"/proc/{spec['join']}/ns/user", os.O_RDONLY)
            opened = [
                (os.open(f"/proc/{spec['join']}/ns/{name}", os.O_RDONLY), kind) for name, kind in _JOINED
            ]
            for descriptor, kind in opened:
                sys_.setns(descriptor, kind)
        else:
            root = _new_container(spec)
        child = os.fork()
        if child == 0:
            _run_child(spec, answer, root, user_namespace)
    except OSError as error:
        _say(answer, "error", f"{error.strerror}: {error.filename}" if error.filename else str(error))
        return 1
    _say(answer, "pid", child)
    _, status = os.waitpid(child, 0)
    _say(answer, "status", status)
    return 0


def _run_child(spec: dict[str, Any], answer: int, root: str | None, user_namespace: int | None) -> None:
    try:
        _child(spec, answer, root, user_namespace)
    except OSError as error:
        _say(answer, "error", f"{error.strerror}: {error.filename}" if error.filename else str(error))
    finally:
        os._exit(127)


if __name__ == "__main__":
    sys.exit(main())
