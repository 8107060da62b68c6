"""Whether this machine lets us make namespaces, and what to do if it does not. Called by `cluster.up` before anything starts."""

import shutil
import subprocess
import sys
from pathlib import Path

from distill_local.errors import LocalClusterError

# User, network, mount and pid namespaces of our own; when this program ends, so does everything in them.
UNSHARE = ("unshare", "-Urnmp", "--fork", "--kill-child", "--mount-proc", "--")

_WHY = "The local cluster runs in namespaces of its own (user, network, mount, pid), and this machine does not allow them: "
_SYSCTLS = (
    "user/max_user_namespaces",
    "kernel/unprivileged_userns_clone",
    "kernel/apparmor_restrict_unprivileged_userns",
)


def require_namespaces() -> None:
    """Raise LocalClusterError with the remedy if namespaces cannot be made here."""
    if sys.platform != "linux":
        msg = f"The local cluster needs Linux, and this is {sys.platform}: use a Linux machine, or a cluster of yours by KUBECONFIG."
        raise LocalClusterError(msg)
    if shutil.which("unshare") is None:
        msg = "The program unshare is not on PATH: install the package util-linux."
        raise LocalClusterError(msg)
    tried = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        raise LocalClusterError(_WHY + remedy(tried.stderr.strip(), _read_sysctls()))


def _read_sysctls() -> dict[str, str]:
    files = {name: Path("/proc/sys") / name for name in _SYSCTLS}
    return {name: path.read_text(encoding="ascii").strip() for name, path in files.items() if path.exists()}


def remedy(said: str, sysctls: dict[str, str]) -> str:
    """Return what to do, from what unshare said and the kernel's settings (by their path below /proc/sys)."""
    if sysctls.get("user/max_user_namespaces") == "0":
        return (
            "user.max_user_namespaces is 0. Allow them with `sudo sysctl -w user.max_user_namespaces=15000`."
        )
    if sysctls.get("kernel/unprivileged_userns_clone") == "0":
        return "kernel.unprivileged_userns_clone is 0. Allow them with `sudo sysctl -w kernel.unprivileged_userns_clone=1`."
    if sysctls.get("kernel/apparmor_restrict_unprivileged_userns") == "1":
        return (
            "AppArmor restricts them (Ubuntu 23.10 and later). Allow them with "
            "`sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`."
        )
    return (
        f"unshare said {said!r}. In a container, start it with `--cap-add SYS_ADMIN --security-opt seccomp=unconfined "
        "--security-opt systempaths=unconfined`; otherwise use a cluster of yours by KUBECONFIG."
    )
