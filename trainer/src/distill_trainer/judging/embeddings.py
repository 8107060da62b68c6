"""Outputs that are embeddings: judged by whether student and teacher find the same pairs of texts similar. No labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from distill_api.training import Evaluation, Metric
from distill_trainer.batch import Batch
from distill_trainer.evaluate import seen
from distill_trainer.judging.judge import Embedded, Examined, Figures, Reading
from distill_trainer.metrics import Comparison, Interval
from distill_trainer.pairwise import Ranked, Vectors, cosines, nearest, places, spearman, spearman_interval


@dataclass(frozen=True)
class SimilarityValidation:
    """See Validation. The teacher's correlation with itself is 1."""

    reading: Reading
    metric: Metric
    ranked: Ranked
    teacher: float = 1.0

    def score(self, student: nn.Module) -> float:
        """See Validation."""
        [mine] = _embedded([student], self.reading)
        return spearman(Ranked(cosines(mine)), self.ranked)


class SimilarityJudge:
    """See Judge."""

    def validation(self, teacher: nn.Module, reading: Reading, metric: Metric) -> SimilarityValidation:
        """See Judge."""
        [theirs] = _embedded([teacher], reading)
        return SimilarityValidation(reading, metric, Ranked(cosines(theirs)))

    def examine(
        self, teacher: nn.Module, student: nn.Module, reading: Reading, evaluation: Evaluation, seed: int
    ) -> Examined:
        """See Judge. `agreement` is the share of samples whose nearest other one is the same for both."""
        theirs, mine = _embedded([teacher, student], reading)
        reached = spearman_interval(
            Ranked(cosines(mine)),
            Ranked(cosines(theirs)),
            len(mine),
            confidence=evaluation.confidence,
            seed=seed,
        )
        comparison = Comparison(
            student=reached,
            teacher=Interval(1.0, 1.0, 1.0),
            drop=Interval(1 - reached.value, 1 - reached.high, 1 - reached.low),
            agreement=float(np.mean(nearest(mine) == nearest(theirs))),
        )
        judged = Embedded(places(len(reading.split)), theirs, mine)
        return Examined(judged, comparison, Figures(), Figures(), len(mine))


def _embedded(models: list[nn.Module], reading: Reading) -> list[Vectors]:
    """Embeddings [N, D] of each model, of the samples that are compared."""
    kept: list[list[Tensor]] = [[] for _ in models]
    rows = torch.from_numpy(places(len(reading.split)))
    for _, vectors in seen(
        models, reading.split, reading.device, reading.stop, _vectors, reading.batch_size, rows
    ):
        for parts, part in zip(kept, vectors, strict=True):
            parts.append(part)
    return [torch.cat(parts).numpy() for parts in kept]


def _vectors(outputs: Tensor, batch: Batch) -> Tensor:  # noqa: ARG001 - a batch has nothing to say of them
    return outputs.float().cpu()
