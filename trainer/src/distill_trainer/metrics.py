"""Scores of predictions and their intervals; numpy alone, no model.

The bootstrap draws the test samples again with replacement. Predictions only matter through how often each triple
(label, student's class, teacher's class) occurs, so a resample is one multinomial draw over the distinct triples:
the same distribution as drawing samples one by one, and thousands of rounds take milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distill_api.training import Metric

Classes = NDArray[np.int64]
ROUNDS = 2000
CONFUSED_UP_TO = 1000
"""Classes up to which a confusion matrix is made: 8 MB of numbers, and what somebody might still look through."""
_CELLS_PER_CHUNK = 2_000_000


@dataclass(frozen=True)
class Interval:
    """A value with the bounds of its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """Student and teacher on the same samples; `drop` is teacher minus student."""

    student: Interval
    teacher: Interval
    drop: Interval
    agreement: float


def score(metric: Metric, predicted: Classes, labels: Classes) -> float:
    """The metric, 0 … 1; arrays are int64 [N]. Raises ValueError where it is none of classes."""
    cells, counts = np.unique(np.stack([labels, predicted]), axis=1, return_counts=True)
    return float(_scores(metric, cells[1], cells[0], counts[None, :])[0])


def compare(
    metric: Metric,
    *,
    student: Classes,
    teacher: Classes,
    labels: Classes,
    confidence: float,
    seed: int,
    samples: Classes | None = None,
    rounds: int = ROUNDS,
) -> Comparison:
    """Paired bootstrap with percentile intervals (Efron, Tibshirani 1993, chapter 13); arrays are int64 [N].

    `samples` are the samples that the rows belong to where a sample has several: whole samples are drawn, since the
    tokens of one text are not independent (Efron, Tibshirani 1993, chapter 8).
    """
    triples = _told_apart(metric, labels, student, teacher)
    cells, cell_of, counts = np.unique(triples, axis=1, return_inverse=True, return_counts=True)
    resampled = (
        _resample(counts, rounds, seed)
        if samples is None
        else _resample_whole(cell_of, samples, rounds, seed)
    )
    values = [_scores(metric, cells[row], cells[0], counts[None, :])[0] for row in (1, 2)]
    draws = [_scores_in_chunks(metric, cells[row], cells[0], resampled) for row in (1, 2)]
    return Comparison(
        student=_interval(values[0], draws[0], confidence),
        teacher=_interval(values[1], draws[1], confidence),
        drop=_interval(values[1] - values[0], draws[1] - draws[0], confidence),
        agreement=float(np.mean(student == teacher)),
    )


def perplexity(log_probabilities: NDArray[np.float32]) -> float:
    """exp of the mean negative log-probability (nats, [N]) of what came: how many tokens a model wavers between."""
    return float(np.exp(-np.mean(log_probabilities, dtype=np.float64)))


def confusion(predicted: Classes, labels: Classes, classes: int) -> NDArray[np.int64]:
    """Counts [label, predicted]."""
    return np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def _resample(counts: NDArray[np.int64], rounds: int, seed: int) -> NDArray[np.int64]:
    total = int(counts.sum())
    return np.random.default_rng(seed).multinomial(total, counts / total, size=rounds)


def _resample_whole(
    cell_of: NDArray[np.int64], samples: Classes, rounds: int, seed: int
) -> NDArray[np.int64]:
    """Counts [rounds, K] of the cells where whole samples are drawn with replacement."""
    _, sample_of = np.unique(samples, return_inverse=True)
    size, cells = int(sample_of.max()) + 1, int(cell_of.max()) + 1
    by_sample = np.bincount(sample_of * cells + cell_of.reshape(-1), minlength=size * cells).reshape(
        size, cells
    )
    generator, each = np.random.default_rng(seed), max(10 * _CELLS_PER_CHUNK // size, 1)
    parts = [
        generator.multinomial(size, np.full(size, 1 / size), size=min(each, rounds - at)) @ by_sample
        for at in range(0, rounds, each)
    ]
    return np.concatenate(parts)


def _told_apart(metric: Metric, labels: Classes, student: Classes, teacher: Classes) -> NDArray[np.int64]:
    """Rows (label, student, teacher) as far as the metric tells them apart: accuracy sees right and wrong alone."""
    if metric is Metric.ACCURACY:
        return np.stack([np.ones_like(labels), student == labels, teacher == labels]).astype(np.int64)
    return np.stack([labels, student, teacher])


def _scores_in_chunks(
    metric: Metric, predicted: Classes, labels: Classes, counts: NDArray[np.int64]
) -> NDArray[np.float64]:
    size = max(_CELLS_PER_CHUNK // counts.shape[1], 1)
    parts = [_scores(metric, predicted, labels, counts[at : at + size]) for at in range(0, len(counts), size)]
    return np.concatenate(parts)


def _scores(
    metric: Metric, predicted: Classes, labels: Classes, counts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Scores [R] of rounds with `counts` [R, K] of K cells, each with its label and prediction [K]."""
    if metric is Metric.ACCURACY:
        return np.asarray(counts[:, predicted == labels].sum(axis=1) / counts.sum(axis=1), dtype=np.float64)
    if metric is Metric.MACRO_F1:
        return _macro_f1(predicted, labels, counts)
    raise ValueError(f"{metric.value} is no metric of classes")


def _macro_f1(predicted: Classes, labels: Classes, counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean F1 over the classes that occur, as label or as prediction, in the round."""
    names = np.union1d(predicted, labels)
    is_predicted = (predicted[:, None] == names).astype(np.float64)
    is_label = (labels[:, None] == names).astype(np.float64)
    weights = counts.astype(np.float64)
    both = weights @ (is_predicted * is_label)
    either = weights @ is_predicted + weights @ is_label
    occurs = either > 0
    f1 = np.divide(2 * both, either, out=np.zeros_like(both), where=occurs)
    return np.asarray(f1.sum(axis=1) / occurs.sum(axis=1), dtype=np.float64)


def _interval(value: float, draws: NDArray[np.float64], confidence: float) -> Interval:
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Interval(float(value), float(low), float(high))
