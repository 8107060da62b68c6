"""The virtual environment of the peers: theirs alone, so that the project depends on none of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PEERS = ("liger-kernel==0.8.5", "trl==1.16.0", "torchdistill==1.1.5", "torchvision==0.29.2")


def peers_python(folder: Path, torch_version: str) -> Path:
    """The Python that has the peers and the same PyTorch as the project; made in `folder` where it is not there yet."""
    python, stamp = folder / "bin/python", folder / ".installed"
    wanted = "\n".join((f"torch=={torch_version.partition('+')[0]}", *PEERS))
    if not stamp.exists() or stamp.read_text() != wanted:
        uv = [sys.executable, "-m", "uv"]
        subprocess.run([*uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder], check=True)
        subprocess.run(
            [*uv, "pip", "install", "--quiet", "--python", python, *wanted.splitlines()], check=True
        )
        stamp.write_text(wanted)
    return python
