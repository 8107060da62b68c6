"""DistillationJob.status: what the operator says. Conditions are the truth; the phase is derived from them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from distill_api.base import ApiModel
from distill_api.delivery import Format
from distill_api.training import Metric

Time = Annotated[str, Field(max_length=32, json_schema_extra={"format": "date-time"})]
Text = Annotated[str, Field(max_length=1024)]


class StatusModel(ApiModel):
    """Base of status models: a field that a newer operator wrote does not stop an older one."""

    model_config = ConfigDict(extra="ignore")


class Phase(StrEnum):
    """One word for a job's state. Succeeded and Failed are final."""

    PENDING = "Pending"
    CHECKING = "Checking"
    STARTING = "Starting"
    RUNNING = "Running"
    EVALUATING = "Evaluating"
    SUSPENDED = "Suspended"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


class ConditionType(StrEnum):
    """What is said about a job, each with a reason and a sentence."""

    ACCEPTED = "Accepted"
    CONTRACT_VALID = "ContractValid"
    RUNNING = "Running"
    TRAINED = "Trained"
    GATE_PASSED = "GatePassed"
    DELIVERED = "Delivered"
    FAILED = "Failed"


class Condition(StatusModel):
    """metav1.Condition."""

    type: Annotated[str, Field(max_length=64)] = Field(
        description="What is said: Accepted, ContractValid, Running, Trained, GatePassed, Delivered or Failed."
    )
    status: Literal["True", "False", "Unknown"] = Field(description="True, False or Unknown.")
    reason: Annotated[str, Field(max_length=128)] = Field(description="One word for why, for programs.")
    message: Annotated[str, Field(max_length=4096)] = Field(default="", description="A sentence, for people.")
    last_transition_time: Time = Field(description="When status last changed.")
    observed_generation: int | None = Field(
        default=None, description="metadata.generation it was said about."
    )


class TermLoss(StatusModel):
    """One term of the objective."""

    name: Annotated[str, Field(max_length=64)] = Field(
        description="Its type, with the variant, and a number where a type is used twice."
    )
    value: float = Field(description="Mean value, not weighted.")


class Losses(StatusModel):
    """Mean losses of the last logged steps."""

    total: float = Field(description="α·task + (1−α)·distillation.")
    task: float = Field(description="Cross-entropy with the hard labels; 0 where there are none.")
    distillation: float = Field(description="Weighted sum of the terms; T²·KL to the teacher without terms.")
    terms: Annotated[list[TermLoss], Field(max_length=8)] | None = Field(
        default=None, description="Each term, in the order of objective.terms."
    )


class Progress(StatusModel):
    """Where a running training stands: the trainer's /status page, and status.progress."""

    stage: Annotated[str, Field(max_length=32)] = Field(
        default="Loading", description="Loading, Fetching, Caching, Training, Evaluating or Writing."
    )
    step: int = Field(default=0, description="Optimizer steps done.")
    total_steps: int = Field(default=0, description="Optimizer steps in all; 0 while not known.")
    epoch: int = Field(default=0, description="The epoch that runs, from 1.")
    epochs: int = Field(default=0, description="Epochs in all.")
    percent: int = Field(default=0, description="Share of the steps that are done.")
    samples_per_second: float = Field(default=0.0, description="Training throughput.")
    seconds_remaining: int | None = Field(default=None, description="Estimate of the time left.")
    losses: Losses | None = Field(default=None, description="Losses of the last logged steps.")
    training_stage: Annotated[str, Field(max_length=40)] | None = Field(
        default=None, description="Name of the stage that runs, where curriculum.stages has several."
    )
    sample_share: float | None = Field(
        default=None,
        description="Share of the training samples that the epoch takes, where curriculum.sampling says.",
    )
    temperature: float | None = Field(
        default=None, description="T of the last logged step, where curriculum.schedules changes it."
    )
    alpha: float | None = Field(
        default=None, description="α of the last logged step, where curriculum.schedules changes it."
    )
    student_metric: float | None = Field(
        default=None, description="Student on the validation split, last epoch."
    )
    teacher_metric: float | None = Field(default=None, description="Teacher on the same samples.")
    last_update: Time | None = Field(default=None, description="When the trainer said so.")


class ModelResult(StatusModel):
    """One model, measured on the test split."""

    metric: float = Field(description="Value of the metric.")
    metric_low: float = Field(description="Lower end of its interval.")
    metric_high: float = Field(description="Upper end of its interval.")
    perplexity: float | None = Field(
        default=None,
        description="Language models: the exponential of the mean negative log-likelihood of a token; less is better.",
    )
    parameters: int = Field(description="Count of parameters.")
    bytes: int = Field(description="Size of the parameters.")
    latency_p50_seconds: float = Field(
        description="Median time of a prediction for one sample, on the training pod."
    )
    latency_p99_seconds: float = Field(description="99th percentile of the same.")
    samples_per_second: float | None = Field(
        default=None, description="Predictions a second in batches, as result.measuredOn says."
    )
    joules_per_thousand_samples: float | None = Field(
        default=None,
        description="Energy of 1000 such predictions by the machine's own counters; absent where nothing measures it.",
    )
    flops: int | None = Field(
        default=None,
        description="Floating-point operations of a prediction for one sample, counted as they run.",
    )
    calibration_error: float | None = Field(
        default=None,
        description="Expected calibration error: by how much confidence and accuracy differ, on average (15 bins).",
    )


class MeasuredOn(StatusModel):
    """What throughput and energy of both models were measured on, in turn and on the same batches."""

    device: Annotated[str, Field(max_length=64)] = Field(description="GPU by name, or CPU.")
    threads: int | None = Field(default=None, description="Threads of a CPU.")
    batch_size: int = Field(description="Samples that are predicted at once.")
    energy: Annotated[str, Field(max_length=256)] = Field(
        description="What measured the energy and what it counts, or why it is not measured."
    )

    @property
    def sentence(self) -> str:
        """All of it, for report, card and terminal."""
        threads = f", {self.threads} thread{'s' * (self.threads != 1)}" if self.threads else ""
        return f"Throughput: both models in turn on the same batches of {self.batch_size}, on {self.device}{threads}; {self.energy}."


class Drop(StatusModel):
    """Teacher's metric minus student's, on the same samples (paired bootstrap)."""

    value: float = Field(description="Point estimate.")
    low: float = Field(description="Lower end of the interval.")
    high: float = Field(description="Upper end of the interval.")
    confidence: float = Field(description="Level of the interval.")


class Artifact(StatusModel):
    """The written student."""

    uri: Text = Field(description="Folder of the version.")
    digest: Annotated[str, Field(max_length=80)] = Field(
        description="sha256:… of the folder's served content."
    )
    bytes: int = Field(description="Size of the weights.")


class Export(StatusModel):
    """The student in a further format, in the version's folder."""

    format: Format = Field(description="ONNX or TorchExport.")
    file: Annotated[str, Field(max_length=63)] = Field(description="Name of the file.")
    bytes: int = Field(description="Size of the file.")
    largest_difference: float = Field(
        description="Largest difference from the student's own logits on test samples, in units of the largest logit."
    )


class Result(StatusModel):
    """Student against teacher."""

    metric: Metric = Field(description="What was measured.")
    samples: int = Field(description="Test samples.")
    student: ModelResult = Field(description="The student, on the test split.")
    teacher: ModelResult = Field(description="The teacher, on the same samples.")
    drop: Drop = Field(description="How much worse the student is.")
    agreement: float = Field(
        description="Share of samples on which both predict the same class; of embeddings, whose nearest other test sample is the same."
    )
    compression: float = Field(description="Teacher's parameters ÷ student's.")
    retained: float = Field(description="Student's metric ÷ teacher's.")
    measured_on: MeasuredOn | None = Field(
        default=None, description="What throughput and energy were measured on."
    )
    artifact: Artifact = Field(description="The student that was written.")
    report: Text = Field(description="URI of report.html.")
    exports: Annotated[list[Export], Field(max_length=2)] | None = Field(
        default=None, description="Further formats of the student; absent where output.formats names none."
    )


class Lineage(StatusModel):
    """Digests of everything the student came from."""

    teacher_digest: Annotated[str, Field(max_length=80)] = Field(description="Teacher's weights.")
    dataset_digest: Annotated[str, Field(max_length=80)] = Field(description="Training data.")
    recipe_digest: Annotated[str, Field(max_length=80)] = Field(
        description="Everything of the spec that shapes the student."
    )
    student_digest: Annotated[str, Field(max_length=80)] = Field(description="Student's weights and config.")


class RolloutPhase(StrEnum):
    """Where a rollout stands."""

    DEPLOYING = "Deploying"
    HOLDING = "Holding"
    PROMOTING = "Promoting"
    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    SUPERSEDED = "Superseded"


class ServingStatus(StatusModel):
    """The rollout of this job's student."""

    phase: RolloutPhase | None = Field(default=None, description="Where the rollout stands.")
    inference_service: Annotated[str, Field(max_length=63)] | None = Field(
        default=None, description="InferenceService of this version."
    )
    digest: Annotated[str, Field(max_length=80)] | None = Field(
        default=None, description="Digest that is rolled out."
    )
    url: Text | None = Field(default=None, description="Where clients send requests.")
    weight: int | None = Field(default=None, description="Percent of requests, as the HTTPRoute says.")
    canary: Annotated[str, Field(max_length=16)] | None = Field(
        default=None, description="For the CANARY column: 25%, Promoted, RolledBack …"
    )
    stable: Annotated[str, Field(max_length=63)] | None = Field(
        default=None, description="InferenceService that served before, and serves the rest."
    )
    step: int | None = Field(default=None, description="Step that is held, from 1.")
    steps: int | None = Field(default=None, description="Steps in all.")
    step_start_time: Time | None = Field(default=None, description="When the step began.")
    message: Text | None = Field(default=None, description="A sentence about it.")


class DistillationJobStatus(StatusModel):
    """Written by the operator alone."""

    observed_generation: int | None = Field(
        default=None, description="metadata.generation that the status speaks of."
    )
    phase: Phase | None = Field(default=None, description="One word, derived from the conditions.")
    message: Annotated[str, Field(max_length=4096)] | None = Field(
        default=None, description="The sentence that matters now."
    )
    conditions: Annotated[list[Condition], Field(max_length=16)] = Field(
        default=[],
        description="What holds, one per type: each with a reason for programs and a sentence for people.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    attempt: int = Field(default=0, description="How many training pods have run.")
    restarts: int = Field(default=0, description="Failed pods, counted against policy.backoffLimit.")
    disruptions: int = Field(default=0, description="Evicted pods, not counted against it.")
    start_time: Time | None = Field(default=None, description="When the job was accepted.")
    completion_time: Time | None = Field(default=None, description="When it ended.")
    progress: Progress | None = Field(default=None, description="Where training stands.")
    progress_text: Annotated[str, Field(max_length=32)] | None = Field(
        default=None, description="For the PROGRESS column: 63% 2m left."
    )
    metric_text: Annotated[str, Field(max_length=32)] | None = Field(
        default=None, description="For the METRIC column: the student's value and its share of the teacher's."
    )
    teacher: Annotated[str, Field(max_length=256)] | None = Field(
        default=None, description="For the TEACHER column: its network or hub id."
    )
    student: Annotated[str, Field(max_length=256)] | None = Field(
        default=None, description="For the STUDENT column: its network or hub id."
    )
    result: Result | None = Field(default=None, description="Student against teacher.")
    lineage: Lineage | None = Field(default=None, description="What the student came from.")
    serving: ServingStatus | None = Field(
        default=None, description="The rollout: from the first request to promotion or roll-back."
    )


def pace(per_second: float) -> str:
    """A rate as people read it: 1,234, 45.6, 0.789."""
    return f"{per_second:,.0f}" if per_second >= 100 else f"{per_second:.3g}"
