"""Spearman's rank correlation over all pairs of samples: whether two models find the same texts similar. numpy alone.

A pair's value is the cosine of its two embeddings; models of any widths can be compared. The bootstrap draws samples, not
pairs, which are not independent: a pair counts as often as the product of how often its samples were drawn, and a
sample makes no pair with itself (Efron, Tibshirani 1993, chapter 8).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distill_trainer.metrics import Interval

Vectors = NDArray[np.float32]
Values = NDArray[np.float64]
MOST = 1000
"""Samples of which all pairs, half a million, are compared; of more these are spread evenly over the split."""
ROUNDS = 500


def places(samples: int) -> NDArray[np.int64]:
    """The samples that are compared, of so many."""
    kept = min(samples, MOST)
    return np.arange(kept, dtype=np.int64) * samples // max(kept, 1)


def cosines(vectors: Vectors) -> Values:
    """Embeddings [N, D] → cosines [N·(N − 1)/2] of the pairs i < j, row by row."""
    return np.asarray(_all_cosines(vectors)[np.triu_indices(len(vectors), 1)])


def nearest(vectors: Vectors) -> NDArray[np.int64]:
    """The most similar other sample of each, [N]."""
    similar = _all_cosines(vectors)
    np.fill_diagonal(similar, -np.inf)
    return np.asarray(similar.argmax(axis=1), dtype=np.int64)


def _all_cosines(vectors: Vectors) -> Values:
    exact = vectors.astype(np.float64)
    directions = exact / np.maximum(np.linalg.norm(exact, axis=1, keepdims=True), 1e-12)
    return np.asarray(directions @ directions.T)


class Ranked:
    """Values in an order, with equal ones found once: ranks for any weights cost no sorting."""

    def __init__(self, values: Values) -> None:
        _, self._cell = np.unique(values, return_inverse=True)

    def ranks(self, weights: Values | None = None) -> Values:
        """Rank of each, equal values sharing the mean of theirs; `weights` are how often each value is there."""
        counts = np.bincount(self._cell, weights)
        return (counts.cumsum() - (counts - 1) / 2)[self._cell]


def spearman(one: Ranked, other: Ranked, weights: Values | None = None) -> float:
    """Pearson's correlation of the ranks, −1 … 1; 0 where one of both finds all pairs equally similar."""
    a, b = one.ranks(weights), other.ranks(weights)
    counts = np.ones_like(a) if weights is None else weights
    total = counts.sum()
    if total == 0:
        return 0.0
    a, b = a - counts @ a / total, b - counts @ b / total
    spread = np.sqrt((counts @ (a * a)) * (counts @ (b * b)))
    return float(counts @ (a * b) / spread) if spread > 0 else 0.0


def spearman_interval(
    student: Ranked, teacher: Ranked, samples: int, *, confidence: float, seed: int, rounds: int = ROUNDS
) -> Interval:
    """The correlation with its percentile interval over `samples` that were drawn again."""
    first, second = np.triu_indices(samples, 1)
    generator, even = np.random.default_rng(seed), np.full(samples, 1 / samples)
    draws = np.empty(rounds)
    for place in range(rounds):
        often = generator.multinomial(samples, even).astype(np.float64)
        draws[place] = spearman(student, teacher, often[first] * often[second])
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(spearman(student, teacher), float(low), float(high))
