"""What the losses of language models cost in time and memory, beside those of the peers, all in one interleaved run.

`make bench-trainer` runs it, prints a table and writes build/bench/trainer.json. Every way to compute the loss has a
process of its own (`trainer_worker`), and they take turns: each round runs each once, so that whatever else the machine
does meets all of them. Times are the minimum over the calm passes, memory is the maximum. Where other processes took more
than a twentieth of the machine in too many passes, seconds of the processors are compared instead of those of the clock.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import torch
from trainer_peers import peers_python
from trainer_worker import Sizes
from turns import Row, Worker, is_calm, rounds

OUT = Path("build/bench")
SIZES = Sizes(tokens=1024, student=256, teacher=512, words=128256, chunk=256, k=64)
OURS = ("fused KL", "chunked CE", "cached top-k", "fused CE + KL")
PEERS = ("Liger", "naive KL", "TRL GKD", "TRL chunked", "Liger as it comes")
SAME_NUMBERS = ("fused KL", *PEERS)
ROUNDS = 5
WORKER = Path(__file__).with_name("trainer_worker.py")
GEMM = "products at their best"


def started(name: str, python: Path | str, *, huge_pages: bool) -> Worker:
    """A process that computes one of the losses."""
    env = {"TRL_EXPERIMENTAL_SILENCE": "1", "THP_MEM_ALLOC_ENABLE": "1" if huge_pages else "0"}
    return Worker.started(name, python, WORKER, [json.dumps(asdict(SIZES))], env)


def compared(workers: dict[str, Worker], clock: str, sizes: Sizes) -> list[Row]:
    """The table."""
    ours, labels = workers["fused KL"], workers["chunked CE"]
    rows = []
    bars = {"Liger": (0.75, 0.65), "naive KL": (0.45, 0.2)}
    for name in (name for name in PEERS if name in workers):
        time_bar, memory_bar = bars.get(name, (None, None))
        peer = workers[name]
        rows += [
            Row(f"fused KL : {name}, time", ours.least(clock), peer.least(clock), "s", time_bar),
            Row(f"fused KL : {name}, peak", ours.most_memory(), peer.most_memory(), "MiB", memory_bar),
        ]
    flop = 2 * sizes.tokens * sizes.words * (3 * sizes.student + sizes.teacher)
    rate, best = (
        flop / ours.least(clock),
        max(each["flop"] / each[clock] for worker in workers.values() for each in worker.products),
    )
    rows.append(Row(f"fused KL : {GEMM}", rate / 1e9, best / 1e9, "GFLOP/s", 0.8, at_least=True))
    cached = workers["cached top-k"]
    rows.append(
        Row(f"cached top-{sizes.k} : chunked CE, time", cached.least(clock), labels.least(clock), "s", 1.03)
    )
    rows.append(
        Row(f"cached top-{sizes.k} : chunked CE, peak", cached.most_memory(), labels.most_memory(), "MiB")
    )
    mixed = workers["fused CE + KL"]
    rows.append(Row("fused CE + KL : fused KL, time", mixed.least(clock), ours.least(clock), "s"))
    return rows


def same_numbers(workers: dict[str, Worker]) -> None:
    """Raises RuntimeError where one computes something else: it would be no comparison."""
    for key in ("loss", "norm"):
        found = {name: workers[name].passes[0][key] for name in SAME_NUMBERS if name in workers}
        if max(found.values()) > 1.001 * min(found.values()):
            raise RuntimeError(f"not the same {key}: {found}")


def main() -> int:
    """0 when every bar holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--patience", type=float, default=60, help="seconds to wait for quiet before a round")
    parser.add_argument(
        "--only", nargs="*", choices=PEERS, default=PEERS, help="of the peers, these (default: all)"
    )
    parser.add_argument(
        "--huge-pages-for-all", action="store_true", help="for the peers, too, who do not ask for them"
    )
    options = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    theirs = peers_python(OUT / "peers", torch.__version__)
    print(
        f"{SIZES}, float32, forward + backward, {torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    # The trainer asks for huge pages when it starts; the peers come without.
    workers = [started(name, sys.executable, huge_pages=True) for name in OURS]
    workers += [started(name, theirs, huge_pages=options.huge_pages_for_all) for name in options.only]
    rounds(workers, options.rounds, options.patience, OURS, lambda line: print(line, flush=True), passes=2)
    by_name = {worker.name: worker for worker in workers}
    same_numbers(by_name)
    clock = "clock" if is_calm(workers) else "cpu"
    rows = [replace(row, calm=clock == "clock") for row in compared(by_name, clock, SIZES)]
    print("\nours : peer" + " " * 36 + "ours      peer           ratio     bar")
    print("\n".join(row.line() for row in rows))
    print(
        {
            "clock": "seconds of the clock",
            "cpu": "seconds of the processors: the machine was not calm, times are not judged",
        }[clock]
    )
    result = {
        "rows": [row.as_json() for row in rows],
        "clock": clock,
        "huge_pages_for_all": options.huge_pages_for_all,
        "others": max(each["others"] for worker in workers for each in worker.passes),
        "passes": {worker.name: worker.passes for worker in workers},
    }
    (OUT / "trainer.json").write_text(json.dumps(result, indent=1))
    return 1 if any(row.holds is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
