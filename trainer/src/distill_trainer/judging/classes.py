"""Outputs that are logits: a class for each row, which the label proves right or wrong."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from distill_api.training import Evaluation, Metric
from distill_trainer import metrics
from distill_trainer.calibration import expected_calibration_error
from distill_trainer.evaluate import Judged, Predictions, predict
from distill_trainer.judging.judge import Examined, Figures, Reading


@dataclass(frozen=True)
class ClassValidation:
    """See Validation."""

    reading: Reading
    metric: Metric
    teacher: float

    def score(self, student: nn.Module) -> float:
        """See Validation."""
        judged = _predicted([student], self.reading)
        return metrics.score(self.metric, judged.models[0].classes, judged.labels)


@dataclass(frozen=True)
class ClassJudge:
    """See Judge. `perplexity` says whether the classes are tokens of a text, which it is measured of."""

    perplexity: bool = False

    def validation(self, teacher: nn.Module, reading: Reading, metric: Metric) -> ClassValidation:
        """See Judge."""
        judged = _predicted([teacher], reading)
        reached = metrics.score(metric, judged.models[0].classes, judged.labels)
        return ClassValidation(reading, metric, reached)

    def examine(
        self, teacher: nn.Module, student: nn.Module, reading: Reading, evaluation: Evaluation, seed: int
    ) -> Examined:
        """See Judge."""
        judged = _predicted([teacher, student], reading)
        theirs, mine = judged.models
        comparison = metrics.compare(
            evaluation.metric,
            student=mine.classes,
            teacher=theirs.classes,
            labels=judged.labels,
            samples=judged.samples if len(judged.labels) > len(reading.split) else None,
            confidence=evaluation.confidence,
            seed=seed,
        )
        return Examined(
            judged,
            comparison,
            teacher=self._figures(theirs, judged),
            student=self._figures(mine, judged),
            samples=len(reading.split),
        )

    def _figures(self, said: Predictions, judged: Judged) -> Figures:
        error = expected_calibration_error(said.confidence, said.classes == judged.labels)
        perplexity = metrics.perplexity(said.label_log_probability) if self.perplexity else None
        return Figures(float(f"{error:.4g}"), perplexity)


def _predicted(models: list[nn.Module], reading: Reading) -> Judged:
    return predict(models, reading.split, reading.device, reading.stop, batch_size=reading.batch_size)
