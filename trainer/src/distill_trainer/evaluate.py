"""Runs models over a split: the validation after each epoch, and the comparison of both on the test split."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from distill_trainer.batch import Batch
from distill_trainer.data import Split
from distill_trainer.losses.rows import flat_rows
from distill_trainer.metrics import Classes
from distill_trainer.sharding import forward_alone
from distill_trainer.stop import StopSignal

T = TypeVar("T")
BATCH = 256


@dataclass(frozen=True)
class Predictions:
    """What one model says of each row: its class, the probability of that, and the log-probability of the label; [N]."""

    classes: Classes
    confidence: NDArray[np.float32]
    label_log_probability: NDArray[np.float32]


@dataclass(frozen=True)
class Judged:
    """A split as models see it. A row is a sample, or a token of one; `samples` [N] are the places of its sample."""

    labels: Classes
    samples: Classes
    models: tuple[Predictions, ...]


def predict(
    models: Sequence[nn.Module],
    split: Split,
    device: torch.device,
    stop: StopSignal,
    *,
    batch_size: int = BATCH,
) -> Judged:
    """Predictions of several models, each batch read once and shown to all. Raises Disrupted when asked to stop."""
    known: list[tuple[Tensor, Tensor]] = []
    parts: list[list[tuple[Tensor, ...]]] = [[] for _ in models]
    for batch, said in seen(models, split, device, stop, _judge, batch_size):
        known.append(_rows_of(batch))
        for part, judged in zip(parts, said, strict=True):
            part.append(judged)
    labels, samples = (torch.cat(column).numpy() for column in zip(*known, strict=True))
    return Judged(labels, samples, tuple(_joined(part) for part in parts))


def seen(
    models: Sequence[nn.Module],
    split: Split,
    device: torch.device,
    stop: StopSignal,
    keep: Callable[[Tensor, Batch], T],
    batch_size: int,
    places: Tensor | None = None,
) -> Iterator[tuple[Batch, list[T]]]:
    """Each batch, and what `keep` makes of every model's output for it; of the samples at `places` (int64) where given.

    Models are in eval mode meanwhile, and as they were afterwards. Raises Disrupted when asked to stop.
    """
    was_training = [model.training for model in models]
    for indices in torch.split(torch.arange(len(split)) if places is None else places, batch_size):
        stop.check()
        batch = split.batch(indices).to(device)
        with forward_alone(models):
            said = [keep(model.eval()(batch.inputs), batch) for model in models]
        yield batch, said
    for model, mode in zip(models, was_training, strict=True):
        model.train(mode)


def _rows_of(batch: Batch) -> tuple[Tensor, Tensor]:
    """Labels and samples of the rows that count, int64 [N] each."""
    samples = batch.rows.reshape(-1, *[1] * (batch.labels.dim() - 1)).expand(batch.labels.shape)
    return _counted(batch.labels, batch).cpu(), _counted(samples.to(batch.labels.device), batch).cpu()


def _judge(logits: Tensor, batch: Batch) -> tuple[Tensor, ...]:
    """Class, probability and the label's log-probability of each row that counts; sequences one by one.

    The softmax of a whole batch of them over a vocabulary would take its logits' memory three times more.
    """
    if logits.dim() == 2:
        return _judge_rows(logits, batch.labels, batch.mask)
    masks = [None] * len(logits) if batch.mask is None else batch.mask
    each = [_judge_rows(*sample) for sample in zip(logits, batch.labels, masks, strict=True)]
    return tuple(torch.cat(column) for column in zip(*each, strict=True))


def _judge_rows(logits: Tensor, labels: Tensor, mask: Tensor | None) -> tuple[Tensor, ...]:
    log_probabilities = flat_rows(logits, mask).float().log_softmax(dim=-1)
    confidence, classes = log_probabilities.max(dim=-1)
    labels = labels if mask is None else labels[mask]
    known = log_probabilities.gather(-1, labels[:, None])[:, 0]
    return classes.cpu(), confidence.exp().cpu(), known.cpu()


def _counted(values: Tensor, batch: Batch) -> Tensor:
    return values.flatten() if batch.mask is None else values[batch.mask]


def _joined(parts: list[tuple[Tensor, ...]]) -> Predictions:
    classes, confidence, known = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
    return Predictions(classes.astype(np.int64), confidence, known)
