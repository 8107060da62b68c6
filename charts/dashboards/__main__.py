"""`python charts/dashboards`: writes every dashboard into the chart, or with `--check` says which file differs and ends with 1."""

from __future__ import annotations

import sys
from pathlib import Path

# Python puts the folder that it runs on its path, and not that folder's parent.
sys.path.insert(0, str(Path(__file__).parent.parent))

from dashboards import jobs
from dashboards.document import document

TARGET = Path(__file__).parent.parent / "distillation-operator" / "dashboards"
DASHBOARDS = {"distillation-jobs.json": jobs.dashboard}


def main(arguments: list[str]) -> int:
    """Exit code: 0, or 1 where `--check` found a difference."""
    texts = {TARGET / name: document(build()) for name, build in DASHBOARDS.items()}
    stale = [path for path, text in texts.items() if not path.exists() or path.read_text() != text]
    if "--check" in arguments:
        for path in stale:
            print(f"{path} is not what charts/dashboards builds; run `make generate`")
        return int(bool(stale))
    TARGET.mkdir(exist_ok=True)
    for path in stale:
        path.write_text(texts[path])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
