"""The way that a training takes: which stage, which learning rate, which α and T at each step."""

from __future__ import annotations

from dataclasses import dataclass

from distill_api.curriculum import Curriculum
from distill_api.training import Training
from distill_trainer.curriculum.pacing import share_of
from distill_trainer.curriculum.schedules import value_at
from distill_trainer.curriculum.timetable import Timetable
from distill_trainer.schedule import learning_rate


@dataclass(frozen=True)
class Settings:
    """What holds at a step; None where the job changes nothing of it. The names are those of `status.Progress`."""

    training_stage: str | None = None
    sample_share: float | None = None
    alpha: float | None = None
    temperature: float | None = None


@dataclass(frozen=True)
class Course:
    """A timetable with what happens in it; `names` are those of the stages, empty where there is a single one."""

    table: Timetable
    training: Training
    curriculum: Curriculum | None = None
    names: tuple[str, ...] = ()

    def settings(self, step: int) -> Settings:
        """The settings of optimizer step `step` (from 0)."""
        stage = self.names[self.table.stage_at(step)] if self.names else None
        schedules = self.curriculum.schedules if self.curriculum else None
        sampling = self.curriculum.sampling if self.curriculum else None
        share = share_of(self.table.epoch_at(step), sampling) if sampling else None
        if schedules is None:
            return Settings(stage, share)
        alpha, temperature = (
            value_at(schedule, step, self.table) for schedule in (schedules.alpha, schedules.temperature)
        )
        return Settings(stage, share, alpha, temperature)

    def rate(self, step: int) -> float:
        """The learning rate of a step: each stage has the whole schedule."""
        span = self.table.stages[self.table.stage_at(step)]
        return learning_rate(step - span.first, span.steps, self.training)
