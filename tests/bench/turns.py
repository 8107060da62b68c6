"""Processes that take turns, so that whatever else the machine does meets all of them; and the rows of the tables."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

CALM, ENOUGH, QUIET_LOAD = 0.05, 5, 0.5
"""Share of the machine that others may take in a calm pass; calm passes that are needed; load that counts as quiet."""


@dataclass
class Worker:
    """A process that answers a line of text with a line of JSON, and what its passes took."""

    name: str
    process: subprocess.Popen[str]
    passes: list[dict[str, float]] = field(default_factory=list)
    products: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def started(
        cls, name: str, python: Path | str, script: Path, arguments: Sequence[str], env: Mapping[str, str]
    ) -> Worker:
        """Ready to run. Raises RuntimeError where it is not."""
        process = subprocess.Popen(
            [python, script, name, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **env},
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
        """One answer."""
        stdin = _pipe(self.process.stdin)
        stdin.write(what + "\n")
        stdin.flush()
        return self._answer()

    def run(self, *, product: bool = False) -> None:
        """One pass; the product in the same moment, so that it meets the same machine."""
        if product:
            self.products.append(self.ask("gemm"))
        self.passes.append(self.ask("pass"))

    @property
    def calm_passes(self) -> list[dict[str, float]]:
        """Those in which others left the machine alone."""
        return [each for each in self.passes if each["others"] <= CALM]

    def least(self, clock: str) -> float:
        """Seconds; of calm passes where there are enough."""
        judged = self.calm_passes if len(self.calm_passes) >= ENOUGH else self.passes
        return min(each[clock] for each in judged)

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
        return f"{self.what:<52} {self.ours:>9.2f} {self.peer:>9.2f} {self.unit:<8} {self.ratio:>6.3f} {bar:>7} {verdict}"


def quiet(patience: float) -> None:
    """Wait until nobody else uses the machine, at most so many seconds."""
    end = time.monotonic() + patience
    while os.getloadavg()[0] > QUIET_LOAD and time.monotonic() < end:
        time.sleep(5)


def rounds(
    workers: Sequence[Worker],
    count: int,
    patience: float,
    with_product: Sequence[str],
    tell: Callable[[str], None],
    *,
    passes: int = 1,
) -> None:
    """Everybody in turn, so many `passes` each; after `count` rounds as many again at most, until enough were calm.

    A second pass meets caches and memory as the first has left them, as it would in a training.
    """
    for done in range(1, 2 * count + 1):
        quiet(patience)
        for worker in workers:
            worker.run(product=worker.name in with_product)
            for _ in range(passes - 1):
                worker.run()
        last = {worker.name: worker.passes[-passes:] for worker in workers}
        took = "  ".join(f"{name} {min(each['clock'] for each in found):.2f}" for name, found in last.items())
        others = max(each["others"] for found in last.values() for each in found)
        tell(f"round {done} of {count}: {took} s; others took up to {others:.0%}")
        if done >= count and is_calm(workers):
            break


def is_calm(workers: Sequence[Worker]) -> bool:
    """Whether enough passes of each met a calm machine."""
    return min(len(worker.calm_passes) for worker in workers) >= ENOUGH
