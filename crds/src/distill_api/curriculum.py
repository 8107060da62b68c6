"""How the training changes on its way. Rules over this and the rest of a spec are in `curriculum_rules`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from distill_api.base import ApiModel, Rule
from distill_api.training import Objective


class Shape(StrEnum):
    """How a value goes from one end to the other."""

    LINEAR = "Linear"
    COSINE = "Cosine"


_Epoch = Annotated[int, Field(ge=1, le=100_000)]
_CHANGES = Rule(
    "self.from != self.to",
    "must differ from `from`: for a value that stays set it in objective",
    field="to",
)
_SCHEDULES_SOMETHING = Rule(
    "has(self.temperature) || has(self.alpha)",
    "set temperature, alpha or both; or leave schedules out",
)
_CHANGES_SOMETHING = Rule(
    "has(self.schedules) || has(self.stages) || has(self.sampling)",
    "must not be empty: set schedules, stages or sampling, or leave curriculum out",
)
_ONE_OF_BOTH = Rule(
    "!has(self.schedules) || !has(self.stages)",
    "must not be set beside stages, each of which has its own objective: remove one of both",
    field="schedules",
)
_NAMES_DIFFER = Rule(
    "!has(self.stages) || self.stages.all(one, self.stages.exists_one(other, other.name == one.name))",
    "must have different names: progress and report tell them apart by these",
    field="stages",
)


class Schedule(ApiModel):
    """A value over the steps; what it is of adds the bounds of both ends."""

    cel = (_CHANGES,)

    start: float = Field(alias="from")
    end: float = Field(alias="to")
    shape: Shape = Field(default=Shape.LINEAR, description="Linear, or Cosine: slow at both ends.")
    until_epoch: _Epoch | None = Field(
        default=None,
        description="The epoch at whose last step `to` is reached and from which on it stays; the last epoch when not given.",
    )

    @model_validator(mode="after")
    def _check_change(self) -> Self:
        _CHANGES.check(holds=self.start != self.end)
        return self


class TemperatureSchedule(Schedule):
    """T over the steps."""

    start: float = Field(
        alias="from",
        gt=0,
        le=100,
        description="T of the first step.",
        json_schema_extra={"x-says": "must be more than 0 and at most 100"},
    )
    end: float = Field(
        alias="to",
        gt=0,
        le=100,
        description="T at the end.",
        json_schema_extra={"x-says": "must be more than 0 and at most 100"},
    )


class AlphaSchedule(Schedule):
    """α over the steps."""

    start: float = Field(
        alias="from",
        ge=0,
        le=1,
        description="α of the first step.",
        json_schema_extra={"x-says": "must be between 0 (teacher only) and 1 (labels only)"},
    )
    end: float = Field(
        alias="to",
        ge=0,
        le=1,
        description="α at the end.",
        json_schema_extra={"x-says": "must be between 0 (teacher only) and 1 (labels only)"},
    )


class Schedules(ApiModel):
    """Values of the objective that change from step to step."""

    cel = (_SCHEDULES_SOMETHING,)

    temperature: TemperatureSchedule | None = Field(
        default=None,
        description="In place of objective.temperature, for every term that names no temperature of its own. Annealed from "
        "high to low the student first learns what is smooth (Jafari et al. 2021, arXiv 2104.07163).",
    )
    alpha: AlphaSchedule | None = Field(
        default=None,
        description="In place of objective.alpha. From 0 upwards the teacher leads first and the labels at the end.",
    )

    @model_validator(mode="after")
    def _check_something(self) -> Self:
        _SCHEDULES_SOMETHING.check(holds=self.temperature is not None or self.alpha is not None)
        return self


class Stage(ApiModel):
    """A training of its own, which goes on with the student of the one before it."""

    name: Annotated[str, Field(min_length=1, max_length=40)] = Field(
        description="What progress and report call it, as in hints."
    )
    epochs: _Epoch = Field(description="Passes over the training data.")
    objective: Objective = Field(
        description="What the student learns from in this stage, as spec.objective. With alpha 0, layers that no term "
        "reaches stay as they are."
    )


class Order(StrEnum):
    """Which samples come first."""

    EASY_TO_HARD = "EasyToHard"
    HARD_TO_EASY = "HardToEasy"


class Difficulty(StrEnum):
    """What makes a sample easy."""

    TEACHER_CONFIDENCE = "TeacherConfidence"


class Sampling(ApiModel):
    """Which samples an epoch takes: a share that grows from epoch to epoch."""

    order: Order = Field(
        default=Order.EASY_TO_HARD,
        description="EasyToHard, or HardToEasy, the control that tells whether the order is what helps.",
    )
    by: Difficulty = Field(
        default=Difficulty.TEACHER_CONFIDENCE,
        description="TeacherConfidence: the probability that the teacher gives the label; for texts the mean of its "
        "logarithm over what counts. Each class comes with its own share.",
    )
    start_fraction: float = Field(
        gt=0,
        lt=1,
        description="Share of the training samples in the first epoch, as in 0.2.",
        json_schema_extra={
            "x-says": "must be more than 0 and less than 1; leave sampling out to take all from the start"
        },
    )
    full_at_epoch: Annotated[int, Field(ge=2, le=100_000)] = Field(
        description="The first epoch that takes all samples; the share grows evenly up to it."
    )


class Curriculum(ApiModel):
    """What changes while the student is trained."""

    cel = (_CHANGES_SOMETHING, _ONE_OF_BOTH, _NAMES_DIFFER)

    schedules: Schedules | None = Field(
        default=None,
        description="Temperature and α as functions of the step; docs/curriculum.md has the equations.",
    )
    stages: Annotated[list[Stage], Field(min_length=2, max_length=8)] | None = Field(
        default=None,
        description="Trainings one after the other, in place of objective and training.epochs: hints first, then the "
        "teacher's outputs (Romero et al. 2015, arXiv 1412.6550). Optimizer and learning rate start anew with each; the best "
        "epoch of the last one is kept.",
    )

    sampling: Sampling | None = Field(
        default=None,
        description="Easy samples first (Bengio et al. 2009; Hacohen, Weinshall 2019, arXiv 1904.03626); every epoch takes all "
        "samples when not given.",
    )

    @model_validator(mode="after")
    def _check_something(self) -> Self:
        _CHANGES_SOMETHING.check(
            holds=any(part is not None for part in (self.schedules, self.stages, self.sampling))
        )
        _ONE_OF_BOTH.check(holds=self.schedules is None or self.stages is None)
        names = [stage.name for stage in self.stages or ()]
        _NAMES_DIFFER.check(holds=len(set(names)) == len(names))
        return self
