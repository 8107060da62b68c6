"""The written student, read back: what the server serves and what anyone else can load.

Format `distilled-student/v1`, a folder of files that belong together:

- `model.safetensors`: every tensor of the network. A Transformers model has its own files (`config.json` …) beside it
  and is loaded from the folder by `from_pretrained` as well.
- `student.json`:
  - `format`: `distilled-student/v1`
  - `task`: a value of the API's `task`
  - `model`: `{"builtin": {"name"}}` or `{"huggingFace": {"id", "config"}}`: rebuilds the network
  - `classes`: names in the order of the logits
  - `input`: `{"shape": [C, H, W], "range": [0, 1]}`: float32 images; preprocessing beyond it is inside the network
  - `weights`: `{"file", "digest"}`; `metric`: `{"name", "value", "samples"}` on the test split
  - `lineage`: `teacherDigest`, `datasetDigest`, `recipeDigest`

Nothing in it depends on when or where it was written, so the same student has the same digest.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from distill_api.training import Task
from distill_trainer.errors import ConfigInvalid, ContractBroken
from distill_trainer.models import Signature, reopen

FORMAT = "distilled-student/v1"
CONFIG = "student.json"


@dataclass(frozen=True)
class Student:
    """A student ready to predict, in eval mode on the CPU. `shape` is (channels, height, width) of images, None for texts."""

    task: Task
    model: nn.Module
    classes: tuple[str, ...]
    shape: tuple[int, int, int] | None

    def predict(self, images: Tensor) -> Tensor:
        """Images float32 [B, C, H, W] in [0, 1] → probabilities [B, classes]. Raises ValueError for another shape."""
        if images.dim() != 4 or tuple(images.shape[1:]) != self.shape:
            raise ValueError(
                f"images have shape {list(images.shape)}: this model takes [B, {', '.join(map(str, self.shape or ()))}]"
            )
        with torch.inference_mode():
            probabilities: Tensor = self.model(images.float()).float().softmax(dim=-1)
        return probabilities


def load_student(folder: Path) -> Student:
    """Rebuild the student of a version's folder. Raises UserError where the folder is not one."""
    config = _read_config(folder / CONFIG)
    task = _task(config)
    shape = _shape(config)
    classes = tuple(str(name) for name in config["classes"])
    source = reopen(config["model"], folder)
    model = source.build(Signature(task, len(classes), shape))
    source.read(model, folder)
    return Student(task, model.eval(), classes, shape)


def _shape(config: dict[str, Any]) -> tuple[int, int, int] | None:
    if "input" not in config:
        return None
    channels, height, width = config["input"]["shape"]
    return (int(channels), int(height), int(width))


def _task(config: dict[str, Any]) -> Task:
    try:
        return Task(str(config.get("task")))
    except ValueError as error:
        known = ", ".join(task.value for task in Task)
        raise ConfigInvalid(
            f"{CONFIG}: task is {config.get('task')!r}; this version serves {known}"
        ) from error


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ContractBroken(
            "ModelNotFound", f"{path} cannot be read as JSON ({error}); name a version's folder"
        ) from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise ConfigInvalid(
            f"{path} is no config of a student: its format must be {FORMAT!r}; name a version's folder"
        )
    return config
