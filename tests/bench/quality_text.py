"""Does distilling help a model of texts? Three tasks on the King James Bible, teachers and students made here from nothing.

The same student from the same start, with hard labels alone and distilled, by the trainer itself, each seed once:
`python tests/bench/quality_text.py [--seeds 5] [--only CausalLM]`. Prints the table and writes build/bench/quality-text.json.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "2")

import bible
import paired
import torch
from bible_tasks import BATCH, TASKS, BibleTask

from distill_trainer import program
from distill_trainer.stop import StopSignal

OUT = Path("build/bench")
HARD, DISTILLED = "hard labels alone", "distilled"
OBJECTIVES = {HARD: {"alpha": 1.0}, DISTILLED: {"alpha": 0.1}}


@dataclass(frozen=True)
class Measured:
    """Results of the trainer, by seed."""

    task: type[BibleTask]
    hard: list[dict[str, Any]]
    distilled: list[dict[str, Any]]

    @property
    def gain(self) -> tuple[float, float]:
        """Of the metric, with the half width of its interval."""
        return paired.gain(metrics(self.distilled), metrics(self.hard))

    def row(self) -> dict[str, object]:
        """As it is written."""
        ours, peer = statistics.mean(metrics(self.distilled)), statistics.mean(metrics(self.hard))
        gain, half = self.gain
        shown = {"what": f"{self.task.task}, distilled : {HARD}", "ours": round(ours, 4)}
        return {
            **shown,
            "peer": round(peer, 4),
            "unit": self.task.unit,
            "ratio": round(ours / peer, 4),
            "bar": 1.0,
            "holds": gain > half,
        }

    def line(self) -> str:
        """As it stands in docs/quality.md."""
        gain, half = self.gain
        hard, distilled = metrics(self.hard), metrics(self.distilled)
        wins = sum(ours > peer for ours, peer in zip(distilled, hard, strict=True))
        cells = (
            f"{self.task.task}, {self.task.train} verses",
            f"{self.hard[0]['teacher']['metric']:.2%}",
            f"{statistics.mean(hard):.2%}",
            f"{statistics.mean(distilled):.2%}",
            f"{gain * 100:+.2f} ± {half * 100:.2f} points",
            f"{wins} of {len(hard)} seeds",
        )
        return f"| {' | '.join(cells)} |"


def metrics(results: list[dict[str, Any]]) -> list[float]:
    """The student's."""
    return [result["student"]["metric"] for result in results]


def student(task: BibleTask, name: str, seed: int, temperature: float) -> dict[str, Any]:
    """One run of the trainer; its result."""
    place = task.root / "runs" / f"{name.replace(' ', '-')}-{seed}"
    place.mkdir(parents=True, exist_ok=True)
    files = {"uri": f"file://{task.root / 'data'}", **task.dataset["files"]}
    document = {
        "job": {"name": "bible"},
        "task": task.task,
        "teacher": {"huggingFace": {"id": f"file://{task.root / 'teacher'}"}},
        "student": {"huggingFace": {"id": f"file://{task.root / 'student'}"}},
        "dataset": {**task.dataset, "files": files},
        "objective": {**OBJECTIVES[name], "temperature": temperature},
        "training": {
            "epochs": task.epochs,
            "batchSize": BATCH,
            "learningRate": 0.003,
            "seed": seed,
            "gradientClip": 1.0,
        },
        "evaluation": {"metric": "macroF1"} if task.unit == "macro F1" else {},
        "output": {"uri": f"file://{place / 'out'}"},
        "recipeDigest": "sha256:" + f"{seed:02x}" * 32,
    }
    (place / "trainer.json").write_text(json.dumps(document), encoding="utf-8")
    os.environ["DISTILL_TERMINATION_LOG"] = str(place / "outcome.json")
    outcome = place / "outcome.json"
    if program.run("train", place / "trainer.json", StopSignal()):
        raise RuntimeError(outcome.read_text(encoding="utf-8"))
    return dict(json.loads(outcome.read_text(encoding="utf-8"))["result"])


def measure(task: BibleTask, seeds: range) -> Measured:
    """Both students of every seed. T = 1 for a language, whose teacher is unsure already, 2 for classes."""
    temperature = 1.0 if task.task == "CausalLM" else 2.0
    hard, distilled = (
        [student(task, name, seed, temperature) for seed in seeds] for name in (HARD, DISTILLED)
    )
    return Measured(type(task), hard, distilled)


def perplexities(found: Measured) -> str:
    """What a language model is better known by."""
    teacher = found.hard[0]["teacher"]["perplexity"]
    hard, distilled = (
        statistics.mean(result["student"]["perplexity"] for result in results)
        for results in (found.hard, found.distilled)
    )
    return f"perplexity: teacher {teacher:.1f}, hard labels alone {hard:.1f}, distilled {distilled:.1f}"


def main() -> None:
    """Measure every task, or the one that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, choices=sorted(paired.T_95), default=5)
    parser.add_argument("--only", default="", help="the task with this name")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    os.environ["DISTILL_HTTP_PORT"] = "0"
    verses = bible.verses()
    if isinstance(verses, str):
        print(verses)
        return
    began, measured = time.monotonic(), []
    for task in (kind((OUT / "text").resolve()) for kind in TASKS if options.only in kind.task):
        task.make(verses)
        print(f"{time.monotonic() - began:5.0f} s  {task.task}: teacher and data", flush=True)
        measured.append(measure(task, range(options.seeds)))
        print(f"{time.monotonic() - began:5.0f} s  {task.task}", flush=True)
    print("\n| task, data | teacher | hard labels alone | distilled | gain (95 % interval) | better in |")
    print("| --- | --- | --- | --- | --- | --- |")
    print("\n".join(found.line() for found in measured))
    print("\n".join(perplexities(found) for found in measured if found.task.task == "CausalLM"))
    document = {"rows": [found.row() for found in measured]}
    (OUT / "quality-text.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
