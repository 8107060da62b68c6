"""The written student, read back: what the server serves and what anyone else can load.

Format `distilled-student/v1`, a folder of files that belong together:

- `model.safetensors`: every tensor of the network. A Transformers model has its own files (`config.json` …) beside it
  and is loaded from the folder by `from_pretrained` as well.
- `student.json`:
  - `format`: `distilled-student/v1`
  - `task`: a value of the API's `task`
  - `model`: rebuilds the network; `{"builtin": {"name"}}`, `{"huggingFace": {"id", "config"}}`, `{"timm": {"name", "args"}}`,
    `{"torchvision": {"name", "args"}}` or `{"python": {"factory", "args", "code"}}`, whose function must be importable
  - `classes`: names in the order of the logits; none of task Embedding
  - `input`: `{"shape": [C, H, W], "range": [0, 1]}`: float32 images, preprocessing beyond it is inside the network; or
    `{"maxTokens"}`: texts, read with the folder's tokenizer and cut there
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
from distill_trainer.batch import Inputs
from distill_trainer.errors import ConfigInvalid, ContractBroken
from distill_trainer.models import ModelSource, Signature, reopen
from distill_trainer.text import TextEncoder

FORMAT = "distilled-student/v1"
CONFIG = "student.json"


@dataclass(frozen=True)
class Student:
    """A student ready to predict, in eval mode on the CPU. Of task Embedding `classes` are none.

    `shape` is (channels, height, width) of images, `encoder` reads texts; each None where the input is of another kind.
    """

    task: Task
    model: nn.Module
    classes: tuple[str, ...]
    shape: tuple[int, int, int] | None = None
    encoder: TextEncoder | None = None

    def predict(self, inputs: Inputs) -> Tensor:
        """Images float32 [B, C, H, W] in [0, 1], or an encoded text's tensors → probabilities [B, …, classes], or embeddings [B, D].

        Raises ValueError for images of another shape.
        """
        if isinstance(inputs, Tensor):
            inputs = self._images(inputs)
        with torch.inference_mode():
            outputs: Tensor = self.model(inputs).float()
            return outputs if self.task is Task.EMBEDDING else outputs.softmax(dim=-1)

    @property
    def picture_shape(self) -> tuple[int, int, int]:
        """The shape of its images. Raises ConfigInvalid where it takes none."""
        if self.shape is None:
            raise ConfigInvalid(f"{CONFIG}: input.shape is missing, and task is {self.task.value}")
        return self.shape

    @property
    def text_encoder(self) -> TextEncoder:
        """What reads its texts. Raises ConfigInvalid where nothing does."""
        if self.encoder is None:
            raise ConfigInvalid(
                f"{CONFIG}: task is {self.task.value}, and input.maxTokens or the tokenizer's files are missing; "
                "serve a version's folder as the trainer wrote it"
            )
        return self.encoder

    def _images(self, images: Tensor) -> Tensor:
        if images.dim() != 4 or tuple(images.shape[1:]) != self.shape:
            raise ValueError(
                f"images have shape {list(images.shape)}: this model takes [B, {', '.join(map(str, self.shape or ()))}]"
            )
        return images.float()


def load_student(folder: Path) -> Student:
    """Rebuild the student of a version's folder. Raises UserError where the folder is not one."""
    config = _read_config(folder / CONFIG)
    task, reads = _task(config), config.get("input", {})
    shape = _shape(reads)
    classes = tuple(str(name) for name in config["classes"])
    source = reopen(config["model"], folder)
    model = source.build(Signature(task, len(classes), shape, classes))
    source.read(model, folder)
    return Student(task, model.eval(), classes, shape, _encoder(reads, source))


def _shape(reads: dict[str, Any]) -> tuple[int, int, int] | None:
    if "shape" not in reads:
        return None
    channels, height, width = reads["shape"]
    return (int(channels), int(height), int(width))


def _encoder(reads: dict[str, Any], source: ModelSource) -> TextEncoder | None:
    tokenizer = source.tokenizer() if "maxTokens" in reads else None
    return None if tokenizer is None else TextEncoder(tokenizer, int(reads["maxTokens"]))


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
