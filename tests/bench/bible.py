"""The King James Bible for benchmarks: unpacks Debian's packages into the cache, without root, and writes plain lines."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from fashion_mnist import cache

TEXT, READER = "bible-kjv-text", "bible-kjv"
"""The text is stored compressed, and the other package has the program that reads it."""


def lines_of() -> Path | str:
    """The file with a verse on each line; else a sentence why there is none."""
    file = cache() / "bible-kjv" / "verses.txt"
    if file.is_file():
        return file
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        return f"the Bible is skipped: this machine has no apt-get and dpkg to unpack {TEXT} with"
    with tempfile.TemporaryDirectory(prefix="distill-deb-") as scratch:
        root = Path(scratch)
        root.chmod(0o755)  # apt downloads as another user
        for package in (TEXT, READER):
            got = _run(["apt-get", "download", package], root)
            found = list(root.glob(f"{package}_*.deb"))
            if got.returncode or not found:
                return f"the Bible is skipped: apt-get download {package} failed; try apt-get update"
            _run(["dpkg", "-x", str(found[0]), "."], root)
        told = _run(["usr/bin/bible", "-f", "-p", str(root / "usr/lib"), "Gen1:1-Rev22:21"], root)
    verses = [line.partition(" ")[2].strip() for line in told.stdout.splitlines() if line.strip()]
    if len(verses) < 30_000:
        return f"the Bible is skipped: {READER} gave {len(verses)} verses"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(verses) + "\n", encoding="utf-8")
    return file


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
