"""What the report is made of."""

from __future__ import annotations

from dataclasses import dataclass

from distill_api.contract import TrainerConfig
from distill_api.curriculum import Stage
from distill_api.status import Lineage, Result
from distill_trainer.check import Contract
from distill_trainer.data import DataSet
from distill_trainer.evaluate import Judged, Predictions
from distill_trainer.judging import Embedded
from distill_trainer.metrics import CONFUSED_UP_TO, Classes
from distill_trainer.snapshot import EpochRecord
from distill_trainer.tasks import kit_of


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
    judged: Judged | Embedded
    device: str = "CPU"
    """What trained and was timed, in words."""

    @property
    def fixed_alpha(self) -> bool:
        """Whether α stays as each stage's objective says."""
        curriculum = self.config.curriculum
        return not (curriculum and curriculum.schedules and curriculum.schedules.alpha)

    @property
    def classes(self) -> Judged:
        """What was said of each row, where outputs are classes. Raises TypeError where they are not."""
        if not isinstance(self.judged, Judged):
            raise TypeError("these outputs are no classes")
        return self.judged

    @property
    def labels(self) -> Classes:
        """Of each row."""
        return self.classes.labels

    @property
    def samples(self) -> Classes:
        """The place of each row's sample."""
        return self.classes.samples

    @property
    def teacher(self) -> Predictions:
        """What the teacher says."""
        return self.classes.models[0]

    @property
    def student(self) -> Predictions:
        """What the student says."""
        return self.classes.models[1]

    @property
    def rows_are(self) -> str:
        """What a prediction is made for, in the plural."""
        return kit_of(self.config.task).rows_are

    @property
    def stages(self) -> tuple[tuple[Stage, tuple[EpochRecord, ...]], ...]:
        """Each stage of the training with its epochs; a single one where the curriculum has none."""
        found, start = [], 0
        for stage in self.config.stages:
            found.append((stage, self.history[start : start + stage.epochs]))
            start += stage.epochs
        return tuple(found)

    @property
    def by_class(self) -> bool:
        """Whether classes are few enough, and mean enough one by one, to be told apart: tokens do not."""
        few = len(self.data.classes) <= CONFUSED_UP_TO
        return few and kit_of(self.config.task).classes_have_names
