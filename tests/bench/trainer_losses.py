"""What the losses of language models cost in time and memory, beside those of the peers, all in one interleaved run.

`make bench-trainer` runs it, prints a table and writes build/bench/trainer.json. Every way to compute the loss has a
process of its own (`trainer_worker`), and they take turns: each round runs each once, so that whatever else the machine
does meets all of them. Times are the minimum over the rounds, memory is the maximum. Where other processes took more
than a twentieth of the machine in too many rounds, seconds of the processors are compared instead of those of the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO

import torch
from trainer_peers import peers_python
from trainer_worker import Sizes

OUT = Path("build/bench")
SIZES = Sizes(tokens=1024, student=256, teacher=512, words=128256, chunk=256, k=64)
OURS = ("fused KL", "chunked CE", "cached top-k", "fused CE + KL")
PEERS = ("Liger", "naive KL", "TRL GKD", "TRL chunked", "Liger as it comes")
SAME_NUMBERS = ("fused KL", *PEERS)
ROUNDS, CALM, QUIET_LOAD = 5, 0.05, 0.5
GEMM = "products at their best"


@dataclass
class Worker:
    """A process, and what its passes took."""

    name: str
    process: subprocess.Popen[str]
    passes: list[dict[str, float]] = field(default_factory=list)
    products: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def started(cls, name: str, python: Path | str, sizes: Sizes, *, huge_pages: bool) -> Worker:
        """Ready to run. Raises RuntimeError where it is not."""
        env = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "TRL_EXPERIMENTAL_SILENCE": "1"}
        env["THP_MEM_ALLOC_ENABLE"] = "1" if huge_pages else "0"
        script = Path(__file__).with_name("trainer_worker.py")
        process = subprocess.Popen(
            [python, script, name, json.dumps(asdict(sizes))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=env,
            text=True,
        )
        worker = cls(name, process)
        worker._answer()
        return worker

    def _answer(self) -> dict[str, float]:
        line = _pipe(self.process.stdout).readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with code {self.process.wait()}")
        answer: dict[str, float] = json.loads(line)
        return answer

    def ask(self, what: str) -> dict[str, float]:
        """One pass, or one product."""
        stdin = _pipe(self.process.stdin)
        stdin.write(what + "\n")
        stdin.flush()
        return self._answer()

    def run(self, *, product: bool) -> None:
        """One pass; the product in the same moment, so that it meets the same machine."""
        if product:
            self.products.append(self.ask("gemm"))
        self.passes.append(self.ask("pass"))

    def least(self, clock: str) -> float:
        """Seconds."""
        return min(each[clock] for each in self.passes)

    def most_memory(self) -> float:
        """MiB."""
        return max(each["bytes"] for each in self.passes) / 2**20


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


@dataclass(frozen=True)
class Row:
    """A comparison. `bar` is the most that the ratio may be, or with `at_least` the least; None: told, not judged.

    Times are judged on a `calm` machine alone: elsewhere they say who else was at work.
    """

    what: str
    ours: float
    peer: float
    unit: str
    bar: float | None = None
    at_least: bool = False
    calm: bool = True

    @property
    def ratio(self) -> float:
        """Ours to theirs."""
        return self.ours / self.peer

    @property
    def holds(self) -> bool | None:
        """Whether the bar is met; None where nothing is judged."""
        if self.bar is None or (self.unit != "MiB" and not self.calm):
            return None
        return self.ratio >= self.bar if self.at_least else self.ratio <= self.bar

    def as_json(self) -> dict[str, object]:
        """As it is written."""
        shown = {
            "what": self.what,
            "ours": round(self.ours, 3),
            "peer": round(self.peer, 3),
            "unit": self.unit,
        }
        return {**shown, "ratio": round(self.ratio, 3), "bar": self.bar, "holds": self.holds}

    def line(self) -> str:
        """As it is printed."""
        bar = "" if self.bar is None else f"{'≥' if self.at_least else '≤'} {self.bar:g}"
        verdict = {True: "holds", False: "MISSED", None: "not judged" if bar else ""}[self.holds]
        return f"{self.what:<44} {self.ours:>9.2f} {self.peer:>9.2f} {self.unit:<8} {self.ratio:>6.3f} {bar:>7} {verdict}"


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


def quiet(patience: float) -> None:
    """Wait until nobody else uses the machine, at most so many seconds."""
    end = time.monotonic() + patience
    while os.getloadavg()[0] > QUIET_LOAD and time.monotonic() < end:
        time.sleep(5)


def rounds(workers: Sequence[Worker], count: int, patience: float, tell: Callable[[str], None]) -> None:
    """Everybody in turn."""
    for done in range(count):
        quiet(patience)
        for worker in workers:
            worker.run(product=worker.name in OURS)
        took = "  ".join(f"{worker.name} {worker.passes[-1]['clock']:.1f}" for worker in workers)
        others = max(worker.passes[-1]["others"] for worker in workers)
        tell(f"round {done + 1} of {count}: {took} s; others took up to {others:.0%}")


def same_numbers(workers: dict[str, Worker]) -> None:
    """Raises RuntimeError where one computes something else: it would be no comparison."""
    for key in ("loss", "norm"):
        found = {name: workers[name].passes[0][key] for name in SAME_NUMBERS if name in workers}
        if max(found.values()) > 1.001 * min(found.values()):
            raise RuntimeError(f"not the same {key}: {found}")


def clock_of(workers: Sequence[Worker]) -> str:
    """The clock on the wall, where at least five passes of each met a calm machine; else the processors' own."""
    calm = (sum(each["others"] <= CALM for each in worker.passes) for worker in workers)
    return "clock" if min(calm) >= ROUNDS else "cpu"


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
    workers = [Worker.started(name, sys.executable, SIZES, huge_pages=True) for name in OURS]
    workers += [
        Worker.started(name, theirs, SIZES, huge_pages=options.huge_pages_for_all) for name in options.only
    ]
    rounds(workers, options.rounds, options.patience, lambda line: print(line, flush=True))
    by_name = {worker.name: worker for worker in workers}
    same_numbers(by_name)
    clock = clock_of(workers)
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
