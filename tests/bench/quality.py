"""Does distilling help? The same student from the same start, with a teacher and with hard labels alone.

`make bench-quality` runs it, prints a table and writes build/bench/quality.json. Samples, initial parameters, order of
batches and number of steps are equal for both; only the objective differs. Each seed draws its own samples.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "2")

import fashion_mnist
import paired
import torch
from safetensors.torch import load_file
from torch import nn

from distill_api.dataset import BuiltinDataset, Dataset
from distill_api.training import Objective, Training
from distill_trainer import data
from distill_trainer.batch import Batch
from distill_trainer.data import DataSet, Split
from distill_trainer.stop import StopSignal
from distill_trainer.teacher_outputs import Outputs
from distill_trainer.teachers import shipped
from distill_trainer.teachers.__main__ import RECIPES, train_teacher
from distill_trainer.teachers.fit import accuracy, fit, new_network

OUT = Path("build/bench")
VALIDATION = 1000


@dataclass(frozen=True)
class Setup:
    """One row. `bar` is the least ratio of distilled to hard-label accuracy; None where no gain is claimed."""

    what: str
    dataset: str
    limit: int | None
    student: str
    training: Training
    seeds: tuple[int, ...]
    bar: float | None


DIGITS = Training(epochs=40, batch_size=32, learning_rate=0.005)
ALL_DIGITS = Training(epochs=15, batch_size=64, learning_rate=0.005)
FASHION = Training(epochs=20, batch_size=64, learning_rate=0.002)
TEN = tuple(range(10))
SETUPS = (
    Setup("digits, 10 % (180), mlp", "digits", 180, "mlp", DIGITS, TEN, 1.0),
    Setup("digits, 10 % (180), convnet-tiny", "digits", 180, "convnet-tiny", DIGITS, TEN, 1.0),
    Setup("digits, all (1 295), mlp", "digits", None, "mlp", ALL_DIGITS, (0, 1, 2), None),
    Setup("Fashion-MNIST, 3 % (1 800), mlp", "fashion-mnist", 1800, "mlp", FASHION, TEN, 1.0),
)


@dataclass(frozen=True)
class Measured:
    """Test accuracies by seed."""

    setup: Setup
    teacher: float
    distilled: list[float]
    hard: list[float]

    @property
    def gain(self) -> tuple[float, float]:
        """Mean of the paired differences, and the half width of its 95 % interval."""
        return paired.gain(self.distilled, self.hard)

    def row(self) -> dict[str, object]:
        """The row of quality.json."""
        ours, peer, bar = statistics.mean(self.distilled), statistics.mean(self.hard), self.setup.bar
        ratio = ours / peer
        return {
            "what": self.setup.what,
            "ours": round(ours, 4),
            "peer": round(peer, 4),
            "unit": "test accuracy",
            "ratio": round(ratio, 4),
            "bar": bar,
            "holds": None if bar is None else ratio > bar and self.gain[0] > self.gain[1],
        }


class Remembered:
    """The teacher's outputs of the training samples, by id: computed once for all epochs."""

    def __init__(self, teacher: nn.Module, split: Split) -> None:
        self._rows = {name: row for row, name in enumerate(split.ids)}
        parts = torch.arange(len(split)).split(256)
        with torch.no_grad():
            self._logits = torch.cat([teacher(split.batch(part).inputs) for part in parts])

    def outputs(self, batch: Batch) -> Outputs:
        """Logits [B, classes]."""
        return Outputs(self._logits[[self._rows[name] for name in batch.ids]])


class Part:
    """The first samples of a split: validation after each epoch need not see 6 000."""

    def __init__(self, split: Split, size: int) -> None:
        self.ids, self.labels = split.ids[:size], split.labels[:size]
        self.batch, self.shown = split.batch, split.shown

    def __len__(self) -> int:
        return len(self.labels)


def teacher_of(name: str, samples: DataSet) -> nn.Module:
    """The shipped teacher, else one that is trained now and kept in the build folder."""
    file = shipped(name)
    if not file.exists():
        file = OUT / f"{name}-teacher.safetensors"
    if not file.exists():
        print(f"training the {name} teacher, once: {file}", flush=True)
        train_teacher(name, file, StopSignal())
    teacher = new_network(RECIPES[name].network, samples, seed=0)
    teacher.load_state_dict(load_file(file))
    return teacher.eval()


def measure(setup: Setup) -> Measured:
    """Train both students of every seed."""
    source = Dataset(builtin=BuiltinDataset(name=setup.dataset), limit=setup.limit)
    distilled, hard, reached = [], [], 0.0
    for seed in setup.seeds:
        samples = data.load(source, seed=seed)
        samples = replace(samples, validation=Part(samples.validation, VALIDATION))
        teacher = teacher_of(setup.dataset, samples)
        reached = reached or accuracy(teacher, samples.test)
        training = setup.training.model_copy(update={"seed": seed})
        for results, outputs in ((hard, None), (distilled, Remembered(teacher, samples.train))):
            student = new_network(setup.student, samples, seed=seed)
            results.append(accuracy(fit(student, samples, training, Objective(), outputs), samples.test))
    return Measured(setup, reached, distilled, hard)


def table(measured: list[Measured]) -> str:
    """As it stands in docs/quality.md."""
    lines = [
        "| data, student | teacher | hard labels alone | distilled | gain (95 % interval) | better in |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for found in measured:
        gain, half = found.gain
        wins = sum(ours > peer for ours, peer in zip(found.distilled, found.hard, strict=True))
        lines.append(
            f"| {found.setup.what} | {found.teacher:.1%} | {statistics.mean(found.hard):.2%} "
            f"| {statistics.mean(found.distilled):.2%} | {gain * 100:+.2f} ± {half * 100:.2f} points "
            f"| {wins} of {len(found.hard)} seeds |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure every row, or those that were asked for; whether its bar holds stands in the table and in quality.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="rows with these words in their name, as in Fashion")
    only = parser.parse_args().only
    logging.basicConfig(level=logging.WARNING)
    torch.set_num_threads(2)
    OUT.mkdir(parents=True, exist_ok=True)
    absent = fashion_mnist.why_absent()
    setups = [setup for setup in SETUPS if not (absent and setup.dataset == "fashion-mnist")]
    setups = [setup for setup in setups if only in setup.what]
    measured, began = [], time.monotonic()
    for setup in setups:
        measured.append(measure(setup))
        print(f"{time.monotonic() - began:5.0f} s  {setup.what}", flush=True)
    print("\n" + table(measured) + (f"\n\n{absent}" if absent else ""))
    rows = [found.row() for found in measured]
    document = {
        "rows": [row for row in rows if row["bar"] is not None],
        "no_gain_claimed": [row for row in rows if row["bar"] is None],
    }
    (OUT / "quality.json").write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
