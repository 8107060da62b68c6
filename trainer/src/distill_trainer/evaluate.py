"""Runs models over a split: the validation after each epoch, and the comparison of both on the test split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from distill_trainer.data import Split
from distill_trainer.metrics import Classes
from distill_trainer.stop import StopSignal

BATCH = 256


@dataclass(frozen=True)
class Predictions:
    """What one model says of a split: class and its probability, [N] each."""

    classes: Classes
    confidence: NDArray[np.float32]


def predict(
    models: Sequence[nn.Module], split: Split, device: torch.device, stop: StopSignal
) -> list[Predictions]:
    """Predictions of several models, each batch read once and shown to all. Raises Disrupted when asked to stop."""
    was_training = [model.training for model in models]
    parts: list[list[tuple[Tensor, Tensor]]] = [[] for _ in models]
    for images in _batches(split, device, stop):
        with torch.inference_mode():
            for part, model in zip(parts, models, strict=True):
                confidence, classes = model.eval()(images).float().softmax(dim=-1).max(dim=-1)
                part.append((classes.cpu(), confidence.cpu()))
    for model, mode in zip(models, was_training, strict=True):
        model.train(mode)
    return [_joined(part) for part in parts]


def labels_of(split: Split) -> Classes:
    """The split's labels as numpy int64 [N]."""
    return np.asarray(split.labels.numpy(), dtype=np.int64)


def _batches(split: Split, device: torch.device, stop: StopSignal) -> Iterator[Tensor]:
    for indices in torch.split(torch.arange(len(split)), BATCH):
        stop.check()
        yield split.batch(indices)[0].to(device)


def _joined(parts: list[tuple[Tensor, Tensor]]) -> Predictions:
    return Predictions(
        classes=torch.cat([classes for classes, _ in parts]).numpy().astype(np.int64),
        confidence=torch.cat([confidence for _, confidence in parts]).numpy(),
    )
