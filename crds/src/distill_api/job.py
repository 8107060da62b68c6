"""DistillationJob: what a user writes."""

from __future__ import annotations

from typing import Any, Self

from pydantic import ConfigDict, Field, model_validator

from distill_api.base import ApiModel, Rule
from distill_api.curriculum import Curriculum
from distill_api.curriculum_rules import RULES, check_curriculum
from distill_api.dataset import Dataset
from distill_api.delivery import Gate, Output, Serving
from distill_api.embedding_rules import RULES as EMBEDDING_RULES
from distill_api.embedding_rules import check_embedding
from distill_api.runtime import Policy, Resources
from distill_api.sources import Student, Teacher
from distill_api.status import DistillationJobStatus
from distill_api.teacher_outputs import TeacherOutputs
from distill_api.training import Evaluation, Metric, Objective, Strategy, Task, Training

_GATE_JUDGES_WHAT_IS_MEASURED = Rule(
    "!has(self.gate) || self.gate.metric == self.evaluation.metric",
    "must be the metric that is measured: set evaluation.metric to the same, or leave both out for accuracy",
    field="gate.metric",
)
_GATE_USES_MEASURED_INTERVALS = Rule(
    "!has(self.gate) || !has(self.gate.confidence) || self.gate.confidence == self.evaluation.confidence",
    "must equal evaluation.confidence (0.95 when not given): the gate judges the intervals that are measured",
    field="gate.confidence",
)
_TOKENS_ARE_OF_TEXT = Rule(
    "!has(self.dataset.maxTokens) || self.task != 'ImageClassification'",
    "has no effect on pictures: remove it",
    field="dataset.maxTokens",
)
_MESSAGES_ARE_OF_CHAT = Rule(
    "!has(self.dataset.columns.messages) || self.task == 'CausalLM'",
    "has an effect with task CausalLM alone: remove it",
    field="dataset.columns.messages",
)
_BROKEN_ONES_ARE_PICTURES = Rule(
    "self.dataset.maxBrokenSamples == 0 || (self.task == 'ImageClassification' && !has(self.dataset.builtin) && "
    "!(has(self.dataset.files) && self.dataset.files.format == 'Idx'))",
    "leaves out pictures that are files or cells of a table, which this data has none of: remove it",
    field="dataset.maxBrokenSamples",
)
_PACKING_IS_OF_DOCUMENTS = Rule(
    "!has(self.dataset.packing) || self.task == 'CausalLM'",
    "has an effect with task CausalLM alone: remove it",
    field="dataset.packing",
)
_TOKENS_ARE_RIGHT_OR_WRONG = Rule(
    "self.task != 'CausalLM' || self.evaluation.metric == 'accuracy'",
    "must be accuracy, of the next token, for task CausalLM; perplexity is measured beside it",
    field="evaluation.metric",
)
_SHARDS_NEED_SEVERAL = Rule(
    "self.training.strategy != 'FSDP' || self.resources.gpusPerNode > 1 || self.resources.nodes > 1",
    "FSDP has no effect on one process: raise resources.nodes or resources.gpusPerNode, or remove it",
    field="training.strategy",
)


class DistillationJobSpec(ApiModel):
    """A student to be trained from a teacher, compared with it, and served."""

    cel = (
        _GATE_JUDGES_WHAT_IS_MEASURED,
        _GATE_USES_MEASURED_INTERVALS,
        _TOKENS_ARE_OF_TEXT,
        _MESSAGES_ARE_OF_CHAT,
        _BROKEN_ONES_ARE_PICTURES,
        _PACKING_IS_OF_DOCUMENTS,
        _TOKENS_ARE_RIGHT_OR_WRONG,
        _SHARDS_NEED_SEVERAL,
        *RULES,
        *EMBEDDING_RULES,
    )
    frozen_fields = (
        "task",
        "teacher",
        "student",
        "dataset",
        "objective",
        "curriculum",
        "training",
        "teacher_outputs",
        "evaluation",
        "output",
        "resources",
    )

    task: Task = Field(
        description="What the models predict: ImageClassification and TextClassification give one class per picture or text, "
        "TokenClassification one per word; CausalLM gives the next token of a text, Embedding a vector of length 1 for each."
    )
    teacher: Teacher = Field(
        description="The trained model whose outputs the student learns. Its parameters are never changed."
    )
    student: Student = Field(
        description="The smaller model that is trained, and served in the teacher's place."
    )
    dataset: Dataset = Field(
        description="The samples that the student is trained and measured on. The teacher predicts the same classes; texts of task "
        "Embedding need no labels."
    )
    objective: Objective = Field(
        default=Objective(),
        description="The loss, α·CE(student, labels) + (1−α)·Σ wᵢ·Lᵢ over the terms; without terms "
        "T²·KL(teacher ‖ student), both distributions softened by T (Hinton, Vinyals, Dean 2015). The defaults are a good start.",
    )
    curriculum: Curriculum | None = Field(
        default=None,
        description="What changes while the student is trained; nothing does when not given.",
    )
    training: Training = Field(
        default=Training(), description="The training loop: how long, in which steps, with which optimizer."
    )
    teacher_outputs: TeacherOutputs = Field(
        default=TeacherOutputs(),
        description="Whether the teacher runs beside the student, or once on each sample with what it says stored. The "
        "default chooses by size.",
    )
    evaluation: Evaluation = Field(
        default=Evaluation(),
        description="How student and teacher are compared: on the same samples of the test split, once, at the end.",
    )
    gate: Gate | None = Field(
        default=None,
        description="What the student must reach before it is served; without a gate every trained student is.",
    )
    output: Output = Field(description="Where the student is written, with its figures and a report.")
    resources: Resources = Field(
        default=Resources(),
        description="What the training pod asks for: GPUs, CPU, memory, and the node it runs on.",
    )
    policy: Policy = Field(default=Policy(), description="Retries, deadlines and clean-up.")
    suspend: bool = Field(
        default=False,
        description="true takes the training pod away after it has written a checkpoint; false lets it go on from there.",
    )
    serving: Serving | None = Field(
        default=None,
        description="Where the student is served once it has passed its gate; not served when not given.",
    )

    @model_validator(mode="after")
    def _check_text(self) -> Self:
        pictures = self.task is Task.IMAGE_CLASSIFICATION
        language = self.task is Task.CAUSAL_LM
        _TOKENS_ARE_OF_TEXT.check(holds=self.dataset.max_tokens is None or not pictures)
        _MESSAGES_ARE_OF_CHAT.check(holds=self.dataset.columns.messages is None or language)
        _BROKEN_ONES_ARE_PICTURES.check(
            holds=self.dataset.max_broken_samples == 0 or (pictures and self.dataset.has_picture_files)
        )
        _PACKING_IS_OF_DOCUMENTS.check(holds=self.dataset.packing is None or language)
        _TOKENS_ARE_RIGHT_OR_WRONG.check(holds=self.evaluation.metric is Metric.ACCURACY or not language)
        return self

    @model_validator(mode="after")
    def _check_processes(self) -> Self:
        several = self.resources.gpus_per_node > 1 or self.resources.nodes > 1
        _SHARDS_NEED_SEVERAL.check(holds=several or self.training.strategy is Strategy.DDP)
        return self

    @model_validator(mode="after")
    def _check_curriculum(self) -> Self:
        check_curriculum(self.curriculum, self.objective, self.training, self.teacher_outputs)
        return self

    @model_validator(mode="after")
    def _check_embedding(self) -> Self:
        check_embedding(self)
        return self

    @model_validator(mode="after")
    def _check_gate(self) -> Self:
        if self.gate is not None:
            measured = self.evaluation
            _GATE_JUDGES_WHAT_IS_MEASURED.check(holds=self.gate.metric == measured.metric)
            _GATE_USES_MEASURED_INTERVALS.check(holds=self.gate.confidence in {None, measured.confidence})
        return self


class DistillationJob(ApiModel):
    """The custom resource, as the API server stores it."""

    model_config = ConfigDict(extra="ignore")

    api_version: str = "distillation.dev/v1alpha1"
    kind: str = "DistillationJob"
    metadata: dict[str, Any]
    spec: DistillationJobSpec
    status: DistillationJobStatus = DistillationJobStatus()
