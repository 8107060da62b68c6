"""Fashion-MNIST for benchmarks: unpacks Debian's package into the cache, without root."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from distill_api.dataset import BuiltinDataset, Dataset
from distill_trainer import data
from distill_trainer.errors import UserError

PACKAGE = "dataset-fashion-mnist"


def cache() -> Path:
    """Where downloads stay."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "distill", "data")


def why_absent() -> str:
    """Make the data available to this process; empty when it is, else a sentence why it cannot be."""
    if not _describe_fault():
        return ""
    os.environ["DISTILL_DATA_DIR"] = str(cache())
    if not _describe_fault():
        return ""
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        return f"Fashion-MNIST is skipped: this machine has no apt-get and dpkg to unpack {PACKAGE} with"
    return _unpack() or _describe_fault()


def _unpack() -> str:
    cache().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="distill-deb-") as scratch:
        got = subprocess.run(
            ["apt-get", "download", PACKAGE],
            cwd=scratch,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        packages = list(Path(scratch).glob("*.deb"))
        if got.returncode or not packages:
            last = (got.stderr.strip().splitlines() or ["no reason given"])[-1]
            return f"Fashion-MNIST is skipped: apt-get download {PACKAGE} failed ({last}); try apt-get update"
        subprocess.run(["dpkg", "-x", str(packages[0]), str(cache())], check=True, timeout=120)
    return ""


def _describe_fault() -> str:
    try:
        data.describe(Dataset(builtin=BuiltinDataset(name="fashion-mnist")))
    except UserError as error:
        return error.message
    return ""
