"""Ours for `trainer_epochs.py`: whole jobs by the trainer, and the plainest loops that one could write over the same data.

Arguments: what, and the folder of `epochs_material`. A line on standard input is one pass; the answer says what the
fastest epoch took. Epochs of a job are those that the trainer measures itself: its steps, without validation and checkpoint.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from epochs_sizes import EPOCHS, LENGTH
from machine import answer_passes
from torch import Tensor, nn

from distill_api.contract import TrainerConfig
from distill_trainer import program
from distill_trainer.batch import Batch
from distill_trainer.check import check
from distill_trainer.order import epoch_batches
from distill_trainer.stop import StopSignal
from distill_trainer.tasks import kit_of

TASKS = {"image": "ImageClassification", "text": "CausalLM"}
DATA = {"image": {"format": "Idx"}, "text": {"format": "Text"}}
BATCH = {"image": 64, "text": 8}
CACHED = {"image": {"encoding": "Dense"}, "text": {"encoding": "TopK", "topK": 64}}


def job(kind: str, root: Path, mode: str, *, compile_layers: bool = False) -> dict[str, Any]:
    """A trainer.json. Outputs of the teacher are stored once, for all passes."""
    outputs: dict[str, Any] = {"mode": mode}
    if mode == "Cached":
        outputs |= {**CACHED[kind], "store": {"uri": f"file://{root}/{kind}/store"}}
    long = {"packing": True, "maxTokens": LENGTH} if kind == "text" else {}
    return {
        "job": {"name": "bench"},
        "task": TASKS[kind],
        "teacher": {"huggingFace": {"id": f"file://{root}/{kind}/teacher"}},
        "student": {"huggingFace": {"id": f"file://{root}/{kind}/student"}},
        "dataset": {"files": {"uri": f"file://{root}/{kind}/data", **DATA[kind]}, **long},
        "objective": {"alpha": 0.5, "temperature": 1.0},
        "training": {
            "epochs": EPOCHS,
            "batchSize": BATCH[kind],
            "learningRate": 0.001,
            "compile": compile_layers,
        },
        "teacherOutputs": outputs,
        "output": {"uri": f"file://{root}/{kind}/out-{mode}-{compile_layers}"},
        "recipeDigest": "sha256:" + "00" * 32,
    }


def trained(kind: str, root: Path, mode: str, *, compile_layers: bool) -> Callable[[], float]:
    """The whole job anew; seconds of its fastest epoch, which is none in which layers are compiled."""
    document = job(kind, root, mode, compile_layers=compile_layers)
    name = f"{mode}-{compile_layers}"
    out = root / kind / f"out-{name}"
    (root / kind).mkdir(exist_ok=True)
    config = root / kind / f"trainer-{name}.json"
    config.write_text(json.dumps(document), encoding="utf-8")
    os.environ["DISTILL_TERMINATION_LOG"] = str(root / kind / f"outcome-{name}.json")

    def seconds() -> float:
        shutil.rmtree(out, ignore_errors=True)
        if program.run("train", config, StopSignal()):
            raise RuntimeError(Path(os.environ["DISTILL_TERMINATION_LOG"]).read_text(encoding="utf-8"))
        found = next(out.glob("versions/*/result.json"))
        history: list[dict[str, float]] = json.loads(found.read_text(encoding="utf-8"))["detail"]["history"]
        return min(epoch["seconds"] for epoch in history)

    return seconds


def labels_alone(student: nn.Module, teacher: nn.Module | None, batch: Batch) -> Tensor:
    """Cross-entropy over whole logits; the teacher's forward pass before it, where there is one."""
    if teacher is not None:
        with torch.inference_mode():
            teacher(batch.inputs)
    logits = student(batch.inputs)
    return F.cross_entropy(logits.flatten(0, -2), batch.labels.flatten())


def plain(kind: str, root: Path, *, with_teacher: bool, fused: bool) -> Callable[[], float]:
    """Batches in the same order, cross-entropy, AdamW as it comes or `fused`; seconds of the fastest epoch."""
    config = TrainerConfig.model_validate(job(kind, root, "Online"))
    contract = check(config)
    split = kit_of(config.task).load(config, contract.sources).train
    student, teacher = (
        model.build(contract.signature).eval() for model in (contract.student, contract.teacher)
    )
    optimizer = torch.optim.AdamW(student.parameters(), lr=0.001, fused=fused or None)

    def epoch(order: Iterable[Tensor]) -> float:
        began = time.perf_counter()
        student.train()
        for indices in order:
            loss = labels_alone(student, teacher if with_teacher else None, split.batch(indices))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        return time.perf_counter() - began

    def seconds() -> float:
        size = config.training.batch_size
        orders = [epoch_batches(len(split), size, seed=0, epoch=1 + n) for n in range(EPOCHS)]
        return min(epoch(order) for order in orders)

    return seconds


def pass_of(what: str, root: Path) -> Callable[[], float]:
    """`image cached`, `text online compiled`, `image labels`, `text teacher + labels`, `image labels, fused AdamW`, …"""
    what, _, optimizer = what.partition(", ")
    kind, _, way = what.partition(" ")
    mode, _, compiled = way.partition(" ")
    if mode in {"cached", "online"}:
        return trained(kind, root, mode.capitalize(), compile_layers=bool(compiled))
    return plain(kind, root, with_teacher=way == "teacher + labels", fused=bool(optimizer))


def main() -> None:
    """Answer lines."""
    logging.basicConfig(level=logging.ERROR)
    os.environ["DISTILL_HTTP_PORT"] = "0"
    answer, sys.stdout = sys.stdout, sys.stderr
    seconds = pass_of(sys.argv[1], Path(sys.argv[2]))
    answer_passes(seconds, answer)


if __name__ == "__main__":
    main()
