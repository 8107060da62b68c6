"""`python -m distill_api [--check]`: writes what is generated from the models, or fails where it is out of date."""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path

from distill_api.crd import generated_files
from distill_api.schema import SchemaError

SHOWN_LINES = 20


def main(arguments: list[str] | None = None) -> int:
    """Returns 0, or 1 where `--check` finds a difference or a model says what a schema cannot."""
    parser = argparse.ArgumentParser(prog="python -m distill_api", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is out of date")
    parser.add_argument("--root", type=Path, default=Path(), help="root of the repository (default: here)")
    options = parser.parse_args(arguments)
    try:
        files = generated_files()
    except SchemaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    stale = [path for path, text in files.items() if _read(options.root / path) != text]
    for path in stale:
        if options.check:
            print(difference(_read(options.root / path), files[path], path), file=sys.stderr)
        else:
            _write(options.root / path, files[path])
            print(f"wrote {path}")
    if stale and options.check:
        print("error: run `python -m distill_api` and commit what it writes", file=sys.stderr)
    return 1 if stale and options.check else 0


def difference(old: str, new: str, path: Path) -> str:
    """The first lines of what would change, with a count of the rest."""
    diff = list(
        difflib.unified_diff(
            old.splitlines(), new.splitlines(), f"{path} (committed)", f"{path} (models)", n=1, lineterm=""
        )
    )
    rest = len(diff) - SHOWN_LINES
    return "\n".join([*diff[:SHOWN_LINES], *([f"… and {rest} lines more"] if rest > 0 else [])])


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
