"""How the training changes on its way. Rules over this and the rest of a spec are in `curriculum_rules`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from distill_api.base import ApiModel, Rule


class Shape(StrEnum):
    """How a value goes from one end to the other."""

    LINEAR = "Linear"
    COSINE = "Cosine"


_Epoch = Annotated[int, Field(ge=1, le=100_000)]
_UNTIL = (
    "The epoch at whose last step `to` is reached and from which on it stays; the last epoch when not given."
)
_SHAPE = "Linear, or Cosine: slow at both ends."
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
    "has(self.schedules)",
    "must not be empty: set schedules, or leave curriculum out",
)


class TemperatureSchedule(ApiModel):
    """T over the steps."""

    cel = (_CHANGES,)

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
    shape: Shape = Field(default=Shape.LINEAR, description=_SHAPE)
    until_epoch: _Epoch | None = Field(default=None, description=_UNTIL)

    @model_validator(mode="after")
    def _check_change(self) -> Self:
        _CHANGES.check(holds=self.start != self.end)
        return self


class AlphaSchedule(ApiModel):
    """α over the steps."""

    cel = (_CHANGES,)

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
    shape: Shape = Field(default=Shape.LINEAR, description=_SHAPE)
    until_epoch: _Epoch | None = Field(default=None, description=_UNTIL)

    @model_validator(mode="after")
    def _check_change(self) -> Self:
        _CHANGES.check(holds=self.start != self.end)
        return self


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


class Curriculum(ApiModel):
    """What changes while the student is trained."""

    cel = (_CHANGES_SOMETHING,)

    schedules: Schedules | None = Field(
        default=None,
        description="Temperature and α as functions of the step; docs/objectives.md has the equations.",
    )

    @model_validator(mode="after")
    def _check_something(self) -> Self:
        _CHANGES_SOMETHING.check(holds=self.schedules is not None)
        return self
