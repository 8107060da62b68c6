"""The peers for `trainer_epochs.py`, each as its documentation shows it: torchdistill on pictures, TRL's GKD on texts.

Run with the Python of the peers. Arguments and answers are those of `epochs_ours`. The data are tensors in memory already: what
they would do to read files is left out, in their favour.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from epochs_sizes import CLASSES, EPOCHS, LENGTH, PICTURES, SIDE, TEXTS, WORDS
from machine import answer_passes


def torchdistill(root: Path) -> Callable[[], float]:
    """Hinton's loss by a DistillationBox, its teacher run on each batch; seconds of the fastest epoch."""
    from torch.utils.data import RandomSampler, SequentialSampler, TensorDataset
    from torchdistill.core.distillation import DistillationBox
    from transformers import AutoModelForImageClassification

    data = TensorDataset(torch.randn(PICTURES, 1, SIDE, SIDE), torch.arange(PICTURES) % CLASSES)
    teacher, student = (
        AutoModelForImageClassification.from_pretrained(root / "image" / name)
        for name in ("teacher", "student")
    )
    hook = {
        "forward_hook": {"input": [], "output": ["classifier"]},
        "forward_proc": "forward_batch_only",
    }
    where = {
        f"{who}_module_{of}": value
        for who in ("student", "teacher")
        for of, value in (("path", "classifier"), ("io", "output"))
    }
    loss = {"key": "KDLoss", "kwargs": {**where, "temperature": 1.0, "alpha": 0.5}}
    loaders = {
        f"{part}_data_loader": {
            "dataset_id": "data",
            "sampler": {"class_or_func": sampler, "kwargs": {}},
            "kwargs": {"batch_size": 64, "num_workers": 0},
        }
        for part, sampler in (("train", RandomSampler), ("val", SequentialSampler))
    }
    config = {
        "num_epochs": EPOCHS,
        **loaders,
        "teacher": {**hook, "requires_grad": False},
        "student": dict(hook),
        "optimizer": {"key": "AdamW", "kwargs": {"lr": 0.001}},
        "criterion": {
            "key": "WeightedSumLoss",
            "kwargs": {"sub_terms": {"kd": {"criterion": loss, "weight": 1.0}}},
        },
    }
    box = DistillationBox(
        teacher, student, {"data": data}, config, torch.device("cpu"), None, distributed=False, lr_factor=1.0
    )

    def epoch(number: int) -> float:
        began = time.perf_counter()
        box.pre_epoch_process(epoch=number)
        for pictures, labels, more in box.train_data_loader:
            box.post_forward_process(loss=box.forward_process(pictures, labels, more))
        return time.perf_counter() - began

    return lambda: min(epoch(number) for number in range(EPOCHS))


def trl(root: Path) -> Callable[[], float]:
    """GKDTrainer on the texts as they are (λ = 0, β = 0: KL of the teacher's words); seconds of the fastest epoch."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl.experimental.gkd import GKDConfig, GKDTrainer

    tokens = torch.randint(2, WORDS, (TEXTS, LENGTH))
    models = [
        AutoModelForCausalLM.from_pretrained(root / "text" / name, dtype=torch.float32)
        for name in ("student", "teacher")
    ]

    def together(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        ids = torch.tensor([row["input_ids"] for row in rows])
        labels = ids.clone()
        labels[:, 0] = -100
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}

    class Epochs(TrainerCallback):
        """When each began and ended."""

        def __init__(self) -> None:
            self.began, self.took = 0.0, list[float]()

        def on_epoch_begin(self, *_: Any, **__: Any) -> None:
            self.began = time.perf_counter()

        def on_epoch_end(self, *_: Any, **__: Any) -> None:
            self.took.append(time.perf_counter() - self.began)

    def seconds() -> float:
        epochs = Epochs()
        with tempfile.TemporaryDirectory() as folder:
            arguments = GKDConfig(
                output_dir=folder,
                per_device_train_batch_size=8,
                num_train_epochs=EPOCHS,
                learning_rate=0.001,
                lmbda=0.0,
                beta=0.0,
                temperature=1.0,
                use_cpu=True,
                bf16=False,
                gradient_checkpointing=False,
                save_strategy="no",
                report_to=[],
                disable_tqdm=True,
            )
            GKDTrainer(
                model=models[0],
                teacher_model=models[1],
                args=arguments,
                data_collator=together,
                train_dataset=Dataset.from_dict({"input_ids": tokens.tolist()}),
                processing_class=AutoTokenizer.from_pretrained(root / "text/student"),
                callbacks=[epochs],
            ).train()
        return min(epochs.took)

    return seconds


def main() -> None:
    """Answer lines."""
    logging.disable(logging.WARNING)
    answer, sys.stdout = sys.stdout, sys.stderr
    seconds = {"torchdistill": torchdistill, "TRL GKD": trl}[sys.argv[1]](Path(sys.argv[2]))
    answer_passes(seconds, answer)


if __name__ == "__main__":
    main()
