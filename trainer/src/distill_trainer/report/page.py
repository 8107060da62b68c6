"""What the report is made of."""

from __future__ import annotations

from dataclasses import dataclass

from distill_api.contract import TrainerConfig
from distill_api.status import Lineage, Result
from distill_api.training import Task
from distill_trainer.check import Contract
from distill_trainer.data import DataSet
from distill_trainer.evaluate import Predictions
from distill_trainer.metrics import CONFUSED_UP_TO, Classes
from distill_trainer.snapshot import EpochRecord


@dataclass(frozen=True)
class Page:
    """One finished run; predictions are those of the test split."""

    config: TrainerConfig
    contract: Contract
    data: DataSet
    history: tuple[EpochRecord, ...]
    best_epoch: int
    result: Result
    lineage: Lineage
    labels: Classes
    samples: Classes
    teacher: Predictions
    student: Predictions

    @property
    def rows_are(self) -> str:
        """What a prediction is made for, in the plural."""
        return {Task.TOKEN_CLASSIFICATION: "words", Task.CAUSAL_LM: "tokens"}.get(self.config.task, "samples")

    @property
    def by_class(self) -> bool:
        """Whether classes are few enough, and mean enough one by one, to be told apart: tokens do not."""
        few = len(self.data.classes) <= CONFUSED_UP_TO
        return few and self.config.task is not Task.CAUSAL_LM
