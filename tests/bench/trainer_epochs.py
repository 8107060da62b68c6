"""What an epoch of a whole job costs, beside the plainest loop over the same data and beside the peers.

`make bench-trainer` runs it after the losses, prints a table and writes build/bench/epochs.json. Each has a process of its own and
they take turns. Pictures: 2048 of 28×28, ResNets of Transformers. Texts: 64 of 128 tokens, Llamas with 32 000 words.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import epochs_material
import torch
from trainer_peers import peers_python
from turns import Row, Worker, is_calm, rounds

HERE, OUT = Path(__file__).parent, Path("build/bench")
FUSED = ", fused AdamW"
OURS = tuple(
    f"{kind} {way}"
    for kind in ("image", "text")
    for way in (
        "labels",
        f"labels{FUSED}",
        "cached",
        "teacher + labels",
        f"teacher + labels{FUSED}",
        "online",
    )
)
PEERS = ("torchdistill", "TRL GKD")


def compared(workers: dict[str, Worker]) -> list[Row]:
    """The table."""

    def row(what: str, ours: str, peer: str, bar: float | None) -> Row:
        return Row(what, workers[ours].least("clock"), workers[peer].least("clock"), "s/epoch", bar)

    rows = []
    for kind, fused in product(("image", "text"), ("", FUSED)):
        both = f"{kind} teacher + labels{fused}"
        rows += [
            row(f"{kind}, cached : labels alone{fused}", f"{kind} cached", f"{kind} labels{fused}", 1.03),
            row(f"{kind}, online : teacher + labels{fused}", f"{kind} online", both, 1.03),
        ]
    return [
        *rows,
        row("image, cached : torchdistill", "image cached", "torchdistill", 1 / 2.5),
        row("image, online : torchdistill", "image online", "torchdistill", None),
        row("text, cached : TRL GKD", "text cached", "TRL GKD", 1 / 4),
        row("text, online : TRL GKD", "text online", "TRL GKD", 1.0),
    ]


def main() -> int:
    """0 when every bar holds, or nothing could be judged."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--patience", type=float, default=60, help="seconds to wait for quiet before a round")
    options = parser.parse_args()
    root = (OUT / "epochs").resolve()
    epochs_material.make(root)
    theirs = peers_python(OUT / "peers", torch.__version__)
    env = {"TRL_EXPERIMENTAL_SILENCE": "1"}
    workers = [
        Worker.started(name, sys.executable, HERE / "epochs_ours.py", [str(root)], env) for name in OURS
    ]
    workers += [Worker.started(name, theirs, HERE / "epochs_peers.py", [str(root)], env) for name in PEERS]
    rounds(workers, options.rounds, options.patience, (), lambda line: print(line, flush=True))
    calm = is_calm(workers)
    rows = [replace(row, calm=calm) for row in compared({worker.name: worker for worker in workers})]
    print("\nours : peer" + " " * 44 + "ours      peer           ratio     bar")
    print("\n".join(row.line() for row in rows))
    if not calm:
        print("the machine was not calm: times are told, not judged")
    passes = {worker.name: worker.passes for worker in workers}
    document = {"rows": [row.as_json() for row in rows], "calm": calm, "passes": passes}
    (OUT / "epochs.json").write_text(json.dumps(document, indent=1))
    return 1 if any(row.holds is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
