"""The King James Bible for benchmarks: unpacks Debian's packages into the cache, without root."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from fashion_mnist import cache

TEXT, READER = "bible-kjv-text", "bible-kjv"
"""The text is stored compressed, and the other package has the program that reads it."""


SECTIONS = (
    ("Law", 5),
    ("History", 12),
    ("Poetry", 5),
    ("Major prophets", 5),
    ("Minor prophets", 12),
    ("Gospels", 4),
    ("Acts", 1),
    ("Letters", 21),
    ("Revelation", 1),
)
"""The customary parts, with their numbers of books in order."""


@dataclass(frozen=True)
class Verse:
    """A verse and the part of the Bible that its book is in."""

    section: str
    text: str


def verses() -> list[Verse] | str:
    """All of them in order; else a sentence why there are none."""
    file = cache() / "bible-kjv" / "references.txt"
    if not file.is_file():
        told = _told()
        if isinstance(told, str):
            return told
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(told) + "\n", encoding="utf-8")
    return _with_sections(file.read_text(encoding="utf-8").splitlines())


def _told() -> list[str] | str:
    """Lines of a reference (`Gen1:1`) and its verse."""
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
    lines = [line for line in told.stdout.splitlines() if line.strip()]
    if len(lines) < 30_000:
        return f"the Bible is skipped: {READER} gave {len(lines)} verses"
    return lines


def _with_sections(lines: list[str]) -> list[Verse]:
    of_book = [name for name, books in SECTIONS for _ in range(books)]
    found, books = list[Verse](), dict[str, int]()
    for line in lines:
        reference, _, text = line.partition(" ")
        book = reference.rpartition(":")[0].rstrip("0123456789")
        found.append(Verse(of_book[books.setdefault(book, len(books))], text.strip()))
    return found


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
