"""DistillationJob: what a user writes."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from distill_api.base import ApiModel
from distill_api.delivery import Gate, Output, Serving
from distill_api.runtime import Policy, Resources
from distill_api.sources import Dataset, Student, Teacher
from distill_api.status import DistillationJobStatus
from distill_api.training import Evaluation, Objective, Task, Training


class DistillationJobSpec(ApiModel):
    """A student to be trained from a teacher, compared with it, and served."""

    frozen_fields = (
        "task",
        "teacher",
        "student",
        "dataset",
        "objective",
        "training",
        "evaluation",
        "output",
        "resources",
    )

    task: Task = Field(description="What the models predict.")
    teacher: Teacher = Field(description="The trained model whose outputs the student learns.")
    student: Student = Field(description="The smaller model that is trained.")
    dataset: Dataset = Field(description="What the student is trained and measured on.")
    objective: Objective = Field(default=Objective(), description="The loss.")
    training: Training = Field(default=Training(), description="The training loop.")
    evaluation: Evaluation = Field(default=Evaluation(), description="How student and teacher are compared.")
    gate: Gate | None = Field(default=None, description="What the student must reach before it is served.")
    output: Output = Field(description="Where the student is written.")
    resources: Resources = Field(default=Resources(), description="What the training pod asks for.")
    policy: Policy = Field(default=Policy(), description="Retries, deadlines, clean-up.")
    suspend: bool = Field(
        default=False,
        description="true takes the training pod away; false lets it go on from its last checkpoint.",
    )
    serving: Serving | None = Field(
        default=None, description="Where the student is served; not served when not given."
    )


class DistillationJob(ApiModel):
    """The custom resource, as the API server stores it."""

    model_config = ConfigDict(extra="ignore")

    api_version: str = "distillation.dev/v1alpha1"
    kind: str = "DistillationJob"
    metadata: dict[str, Any]
    spec: DistillationJobSpec
    status: DistillationJobStatus = DistillationJobStatus()
