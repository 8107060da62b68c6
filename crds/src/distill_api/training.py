"""What is learnt and how: objective, training loop, evaluation."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from distill_api.base import ApiModel
from distill_api.terms import Term, TermType


class Task(StrEnum):
    """What the models predict."""

    IMAGE_CLASSIFICATION = "ImageClassification"
    TEXT_CLASSIFICATION = "TextClassification"
    TOKEN_CLASSIFICATION = "TokenClassification"  # noqa: S105 -- a task, no secret
    CAUSAL_LM = "CausalLM"
    EMBEDDING = "Embedding"


class Metric(StrEnum):
    """How good a model is: at most 1, more is better; shares of right predictions, or a correlation with the teacher."""

    ACCURACY = "accuracy"
    MACRO_F1 = "macroF1"
    SPEARMAN = "spearman"


class Optimizer(StrEnum):
    """How gradients become steps."""

    ADAMW = "AdamW"
    SGD = "SGD"


class LearningRateSchedule(StrEnum):
    """How the learning rate changes over the run."""

    COSINE = "Cosine"
    LINEAR = "Linear"
    CONSTANT = "Constant"


class Precision(StrEnum):
    """What the networks compute in while the student is trained; parameters, losses and steps are 32 bits in both."""

    FP32 = "FP32"
    BF16 = "BF16"


class Strategy(StrEnum):
    """How the processes of a training share the student."""

    DDP = "DDP"
    FSDP = "FSDP"


class Objective(ApiModel):
    """L = α·CE(student, labels) + (1−α)·Σ wᵢ·Lᵢ(student, teacher).

    Without terms the sum is T²·KL(softmax(z_t/T) ‖ softmax(z_s/T)) (Hinton, Vinyals, Dean 2015).
    """

    alpha: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Weight of the hard labels' loss; the teacher's part weighs 1 − alpha.",
        json_schema_extra={"x-says": "must be between 0 (teacher only) and 1 (labels only)"},
    )
    temperature: float = Field(
        default=4.0,
        gt=0,
        le=100,
        description="Softens both distributions: more than 1 shows the student how classes resemble each other. Language "
        "models usually take 1 or 2: softened over a whole vocabulary, unlikely tokens outweigh the likely ones.",
        json_schema_extra={
            "x-says": "must be more than 0 (4 is a good start; 1 leaves the logits as they are) and at most 100"
        },
    )
    terms: Annotated[list[Term], Field(min_length=1, max_length=8)] | None = Field(
        default=None,
        description="What the student learns from the teacher, as a weighted sum; one KLDivergence, T²·KL(teacher ‖ student), "
        "when not given.",
    )

    @property
    def effective_terms(self) -> tuple[Term, ...]:
        """The terms, with the default where none is given."""
        return tuple(self.terms) if self.terms else (Term(type=TermType.KL_DIVERGENCE),)


class Training(ApiModel):
    """The training loop."""

    epochs: int = Field(default=20, ge=1, le=100_000, description="Passes over the training data.")
    batch_size: int = Field(
        default=64, ge=1, le=1_048_576, description="Samples per optimizer step, of all processes together."
    )
    gradient_accumulation: int = Field(
        default=1,
        ge=1,
        le=65_536,
        description="Parts that each process cuts its share of a batch into, one after the other: memory for a part, the step of "
        "the whole batch.",
    )
    precision: Precision = Field(
        default=Precision.FP32,
        description="FP32, or BF16: passes of the student, and of a teacher that runs beside it, in half the memory; parameters, losses "
        "and stored outputs in 32 bits all the same.",
    )
    strategy: Strategy = Field(
        default=Strategy.DDP,
        description="DDP: every process holds the whole student. FSDP: each holds a part of its parameters, gradients and "
        "optimizer states, and of a teacher that runs beside it, and fetches a layer while it computes it.",
    )
    activation_checkpointing: bool = Field(
        default=False,
        description="true keeps each layer's input alone and computes the rest a second time in the backward pass: the same "
        "student for much less memory and about a third more time. Of Transformers students that can.",
    )
    compile: bool = Field(
        default=False,
        description="true makes fused kernels of the layers of the student, and of a teacher that runs beside it, with PyTorch's "
        "compiler: the first step takes longer, up to minutes, and those that follow less, for most networks on GPUs. Needs a C++ "
        "compiler in the trainer's image.",
    )
    optimizer: Optimizer = Field(default=Optimizer.ADAMW, description="AdamW or SGD (momentum 0.9).")
    learning_rate: float = Field(
        default=0.002,
        gt=0,
        le=10,
        description="Peak learning rate.",
        json_schema_extra={"x-says": "must be more than 0 and at most 10"},
    )
    weight_decay: float = Field(
        default=0.0001,
        ge=0,
        le=1,
        description="Decoupled weight decay.",
        json_schema_extra={"x-says": "must be between 0 (none) and 1"},
    )
    schedule: LearningRateSchedule = Field(
        default=LearningRateSchedule.COSINE,
        description="How the learning rate goes from its peak to the end.",
    )
    warmup_ratio: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="Share of all steps in which the rate rises linearly to its peak.",
        json_schema_extra={"x-says": "must be between 0 (no warm-up) and 1"},
    )
    gradient_clip: float | None = Field(
        default=None,
        gt=0,
        description="Greatest norm of the gradient; not clipped when not given.",
        json_schema_extra={"x-says": "must be more than 0; leave it out for no clipping"},
    )
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = Field(
        default=0, description="Seed of initial weights, order of samples and cuts of the data."
    )


class Evaluation(ApiModel):
    """How student and teacher are compared, on the same batches of the test split."""

    metric: Metric = Field(
        default=Metric.ACCURACY,
        description="The metric of the progress line and of the result: accuracy, macroF1, or spearman for task Embedding, "
        "the rank correlation of student and teacher over the cosine similarities of all pairs of texts.",
    )
    confidence: float = Field(
        default=0.95,
        ge=0.5,
        lt=1,
        description="Level of the intervals (paired bootstrap over the test samples).",
        json_schema_extra={"x-says": "must be at least 0.5 and less than 1, as in 0.95"},
    )
