"""What `training.compile` changes in an epoch: the jobs of `trainer_epochs.py` with it, beside the same jobs without.

`make bench-compile` prints a table and writes build/bench/compile.json. The epochs in which layers are compiled do not count.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import epochs_material
from turns import Row, Worker, is_calm, rounds

HERE, OUT = Path(__file__).parent, Path("build/bench")
JOBS = tuple(f"{kind} {way}" for kind, way in product(("image", "text"), ("cached", "online")))


def main() -> int:
    """0: a comparison without a bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=6, help="the first of which compiles")
    parser.add_argument("--patience", type=float, default=60, help="seconds to wait for quiet before a round")
    options = parser.parse_args()
    root = (OUT / "epochs").resolve()
    epochs_material.make(root)
    names = [name for job in JOBS for name in (job, f"{job} compiled")]
    workers = {
        name: Worker.started(name, sys.executable, HERE / "epochs_ours.py", [str(root)], {}) for name in names
    }
    rounds(list(workers.values()), options.rounds, options.patience, (), lambda line: print(line, flush=True))
    calm = is_calm(list(workers.values()))
    rows = [
        Row(
            f"{job}, compiled : plain",
            workers[f"{job} compiled"].least("clock"),
            workers[job].least("clock"),
            "s/epoch",
        )
        for job in JOBS
    ]
    print("\n" + "\n".join(replace(row, calm=calm).line() for row in rows))
    passes = {name: worker.passes for name, worker in workers.items()}
    document = {"rows": [row.as_json() for row in rows], "calm": calm, "passes": passes}
    (OUT / "compile.json").write_text(json.dumps(document, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
