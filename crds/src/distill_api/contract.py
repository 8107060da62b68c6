"""The contract between operator and trainer: one JSON file in, one JSON document out, exit codes, progress.

The operator writes `TrainerConfig` as trainer.json into a ConfigMap; the trainer answers with an `Outcome` in its
termination message, with an `ExitCode`, and while it runs with `status.Progress` at `GET /status`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from distill_api.base import ApiModel
from distill_api.curriculum import Curriculum, Stage
from distill_api.curriculum_rules import check_curriculum, stages_of
from distill_api.dataset import Dataset
from distill_api.delivery import Output
from distill_api.embedding_rules import check_embedding
from distill_api.job import DistillationJobSpec
from distill_api.naming import recipe_digest
from distill_api.sources import Student, Teacher
from distill_api.status import Lineage, Result, StatusModel
from distill_api.teacher_outputs import TeacherOutputs
from distill_api.training import Evaluation, Objective, Task, Training

CONFIG_PATH = "/etc/distill/trainer.json"
TERMINATION_LOG = "/dev/termination-log"
TERMINATION_MESSAGE_BYTES = 4096
"""The kubelet cuts a termination message here (https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/)."""
CLAIM_MOUNTS = "/mnt/pvc"
"""`pvc://<claim>/<path>` is `/mnt/pvc/<claim>/<path>` in the pod."""
NODES_VARIABLE = "DISTILL_NODES"
PROCESSES_VARIABLE = "DISTILL_PROCESSES"
"""How many pods train together, and how many processes each of them starts; 1 where they are not set."""
RENDEZVOUS_PORT = 29500
"""Where the processes of several pods meet: pod 0, MASTER_ADDR in their environment."""
HTTP_PORT = 8080
"""The trainer's /status, /metrics and /healthz."""


class ExitCode(IntEnum):
    """How a trainer ends. Names and numbers follow sysexits(3); the kind decides whether Kubernetes tries again."""

    SUCCEEDED = 0
    FAILED = 1
    CONFIG_INVALID = 64
    CONTRACT_BROKEN = 65
    DIVERGED = 70
    DISRUPTED = 75

    @property
    def permanent(self) -> bool:
        """Whether another try would end the same way."""
        return self in {ExitCode.CONFIG_INVALID, ExitCode.CONTRACT_BROKEN, ExitCode.DIVERGED}


class JobReference(ApiModel):
    """The job that a run belongs to."""

    namespace: Annotated[str, Field(max_length=63)] = "default"
    name: Annotated[str, Field(max_length=253)]


class TrainerConfig(ApiModel):
    """trainer.json."""

    job: JobReference
    task: Task
    teacher: Teacher
    student: Student
    dataset: Dataset
    objective: Objective = Objective()
    curriculum: Curriculum | None = None
    training: Training = Training()
    teacher_outputs: TeacherOutputs = TeacherOutputs()
    evaluation: Evaluation = Evaluation()
    output: Output
    recipe_digest: Annotated[str, Field(max_length=80)] = Field(
        description="Digest of everything that shapes the student; a checkpoint of another recipe is never resumed."
    )

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The trainings one after the other; one of the whole unless the curriculum has stages."""
        return stages_of(self.curriculum, self.objective, self.training)

    @model_validator(mode="after")
    def _check_curriculum(self) -> Self:
        check_curriculum(self.curriculum, self.objective, self.training, self.teacher_outputs)
        return self

    @model_validator(mode="after")
    def _check_embedding(self) -> Self:
        check_embedding(self)
        return self


def trainer_config(job: JobReference, spec: DistillationJobSpec) -> TrainerConfig:
    """What the trainer is told of a job: by the operator in a cluster, by `distill run` without one."""
    return TrainerConfig(
        job=job,
        task=spec.task,
        teacher=spec.teacher,
        student=spec.student,
        dataset=spec.dataset,
        objective=spec.objective,
        curriculum=spec.curriculum,
        training=spec.training,
        teacher_outputs=spec.teacher_outputs,
        evaluation=spec.evaluation,
        output=spec.output,
        recipe_digest=recipe_digest(spec),
    )


class Outcome(StatusModel):
    """The termination message, at most 4096 bytes."""

    reason: Annotated[str, Field(max_length=64)] = Field(
        description="One CamelCase word: ContractValid, Succeeded, ClassCountMismatch, …"
    )
    message: Annotated[str, Field(max_length=1500)] = Field(
        default="", description="A sentence that names field, value and remedy."
    )
    result: Result | None = None
    lineage: Lineage | None = None
