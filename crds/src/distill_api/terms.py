"""The terms of the objective: what of the teacher the student imitates, and how the difference is measured.

One model for all types, since a structural schema has no unions: `FIELDS` says which fields belong to which type, and
both judges (pydantic and the API server) refuse the others by name. The trainer has one file a type.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from distill_api.base import ApiModel, Rule


class TermType(StrEnum):
    """How student and teacher are compared."""

    KL_DIVERGENCE = "KLDivergence"
    MSE_LOGITS = "MSELogits"
    SOFT_TARGET_CROSS_ENTROPY = "SoftTargetCrossEntropy"
    ATTENTION_TRANSFER = "AttentionTransfer"
    HINT = "Hint"
    RELATIONAL = "Relational"
    CONTRASTIVE = "Contrastive"
    DECOUPLED = "Decoupled"


class KLVariant(StrEnum):
    """Which divergence of teacher p and student q."""

    FORWARD = "Forward"
    REVERSE = "Reverse"
    JENSEN_SHANNON = "JensenShannon"
    SKEWED = "Skewed"


class AttentionMode(StrEnum):
    """Attention transfer between convolutional layers, as its paper defines it or as its authors' code computes it; or
    between attention layers of transformers, as TinyBERT or MiniLM define it."""

    PAPER = "Paper"
    CODE = "Code"
    TINY_BERT = "TinyBERT"
    MINI_LM = "MiniLM"

    @property
    def of_transformers(self) -> bool:
        """Whether it compares attention layers."""
        return self in {AttentionMode.TINY_BERT, AttentionMode.MINI_LM}


class Projection(StrEnum):
    """What brings the student's layer to the teacher's width."""

    LINEAR = "Linear"


FIELDS: dict[TermType, frozenset[str]] = {
    TermType.KL_DIVERGENCE: frozenset({"temperature", "variant", "beta", "skew"}),
    TermType.MSE_LOGITS: frozenset(),
    TermType.SOFT_TARGET_CROSS_ENTROPY: frozenset({"temperature"}),
    TermType.ATTENTION_TRANSFER: frozenset({"pairs", "mode"}),
    TermType.HINT: frozenset({"pairs"}),
    TermType.RELATIONAL: frozenset({"pairs", "distance", "angle"}),
    TermType.CONTRASTIVE: frozenset({"pairs", "temperature", "dimension", "negatives", "momentum"}),
    TermType.DECOUPLED: frozenset({"temperature", "alpha", "beta"}),
}
"""The fields of each type, beside `type` and `weight`."""
_OWN_FIELDS = sorted(set().union(*FIELDS.values()))

LayerName = Annotated[str, Field(min_length=1, max_length=256)]


class LayerPair(ApiModel):
    """A layer of the teacher and the layer of the student that is compared with it."""

    teacher: LayerName = Field(
        description="Layer of the teacher by its name in PyTorch, as in features.3; * stands for any part between two "
        "dots and makes as many pairs as it finds layers."
    )
    student: LayerName = Field(
        description="Layer of the student, written in the same way; it must name as many layers."
    )
    projection: Projection | None = Field(
        default=None,
        description="Linear learns a map from the student's width to the teacher's (Hint alone): needed where they "
        "differ. It is trained beside the student and never written with it.",
    )


def _belongs(name: str) -> Rule:
    """The rule that field `name` is only set for the types that have it."""
    types = [kind.value for kind in TermType if name in FIELDS[kind]]
    return Rule(
        f"!has(self.{name}) || self.type in {json.dumps(types)}",
        f"belongs to {_listed(types)} alone: remove it, or change the type",
        field=name,
    )


def _listed(names: list[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _needs_pairs(kind: TermType) -> Rule:
    return Rule(
        f"self.type != '{kind.value}' || has(self.pairs)",
        f"is required for {kind.value}: name at least one teacher and student layer",
        field="pairs",
    )


_BELONGS = {name: _belongs(name) for name in _OWN_FIELDS}
_NEEDS_PAIRS = {kind: _needs_pairs(kind) for kind in (TermType.ATTENTION_TRANSFER, TermType.HINT)}
_ONE_PAIR = Rule(
    "!has(self.pairs) || !(self.type in ['Relational', 'Contrastive']) || size(self.pairs) == 1",
    "must be one pair for Relational and Contrastive: give each further pair a term of its own",
    field="pairs",
)
_PROJECTION_OF_HINT = Rule(
    "!has(self.pairs) || self.type == 'Hint' || self.pairs.all(pair, !has(pair.projection))",
    "must not have a projection unless the type is Hint: remove projection",
    field="pairs",
)
_BETA_OF_JENSEN_SHANNON = Rule(
    "!has(self.beta) || self.type != 'KLDivergence' || (has(self.variant) && self.variant == 'JensenShannon')",
    "belongs to variant JensenShannon alone: set variant to JensenShannon, or remove beta",
    field="beta",
)
_BETA_INSIDE = Rule(
    "!has(self.beta) || self.type != 'KLDivergence' || (self.beta > 0.0 && self.beta < 1.0)",
    "must be more than 0 and less than 1 for JensenShannon: at 0 and at 1 the loss is 0 everywhere and nothing is "
    "learnt; use variant Forward for what 0 is to mean, Reverse for 1",
    field="beta",
)
_SKEW_OF_SKEWED = Rule(
    "!has(self.skew) || (has(self.variant) && self.variant == 'Skewed')",
    "belongs to variant Skewed alone: set variant to Skewed, or remove skew",
    field="skew",
)
_SOMETHING_RELATIONAL = Rule(
    "!has(self.distance) || !has(self.angle) || self.distance > 0.0 || self.angle > 0.0",
    "must not be 0 together with distance: one of both has to be compared",
    field="angle",
)


class Term(ApiModel):
    """One part of what the student learns from the teacher: Lᵢ with its weight wᵢ."""

    cel = (
        *_BELONGS.values(),
        *_NEEDS_PAIRS.values(),
        _ONE_PAIR,
        _PROJECTION_OF_HINT,
        _BETA_OF_JENSEN_SHANNON,
        _BETA_INSIDE,
        _SKEW_OF_SKEWED,
        _SOMETHING_RELATIONAL,
    )

    type: TermType = Field(
        description="How student and teacher are compared; docs/objectives.md has each equation."
    )
    weight: float = Field(
        default=1.0,
        gt=0,
        le=1_000_000,
        description="Weight wᵢ of this term among the terms.",
        json_schema_extra={"x-says": "must be more than 0 (leave the term out instead) and at most 1000000"},
    )
    temperature: float | None = Field(
        default=None,
        gt=0,
        le=100,
        description="T of this term; objective.temperature when not given. For Contrastive the τ of its paper, 0.07 "
        "when not given.",
        json_schema_extra={"x-says": "must be more than 0 and at most 100"},
    )
    variant: KLVariant | None = Field(
        default=None,
        description="For KLDivergence: Forward KL(p‖q), Reverse KL(q‖p), JensenShannon or Skewed KL(p‖λp+(1−λ)q), with "
        "p the teacher's probabilities and q the student's; Forward when not given.",
    )
    alpha: float | None = Field(
        default=None,
        ge=0,
        le=1000,
        description="For Decoupled: weight of the target class's part (TCKD); 1 when not given.",
        json_schema_extra={"x-says": "must be between 0 and 1000"},
    )
    beta: float | None = Field(
        default=None,
        ge=0,
        le=1000,
        description="For Decoupled: weight of the other classes' part (NCKD), 8 when not given. For JensenShannon: share "
        "β of the teacher in the mixture M = βp + (1−β)q, 0.5 when not given.",
        json_schema_extra={"x-says": "must be between 0 and 1000, and between 0 and 1 for JensenShannon"},
    )
    skew: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="For Skewed: share λ of the teacher in the mixture; 0.1 when not given.",
        json_schema_extra={"x-says": "must be more than 0 and less than 1"},
    )
    pairs: Annotated[list[LayerPair], Field(min_length=1, max_length=16)] | None = Field(
        default=None,
        description="The layers that are compared. Relational and Contrastive compare logits when not given.",
    )
    mode: AttentionMode | None = Field(
        default=None,
        description="For AttentionTransfer. Convolutional layers: Paper, ½·‖·‖₂ of the difference of attention maps, or Code, "
        "its mean square. Attention layers of BERT-like models: TinyBERT, the mean square of the difference of their scores, "
        "or MiniLM, the KL of attention and of the values' relations, meant for the last layer of each. Paper when not given.",
    )
    distance: float | None = Field(
        default=None,
        ge=0,
        le=1000,
        description="For Relational: weight of the distances between samples; 1 when not given.",
        json_schema_extra={"x-says": "must be between 0 and 1000"},
    )
    angle: float | None = Field(
        default=None,
        ge=0,
        le=1000,
        description="For Relational: weight of the angles between three samples; 2 when not given.",
        json_schema_extra={"x-says": "must be between 0 and 1000"},
    )
    dimension: int | None = Field(
        default=None,
        ge=1,
        le=4096,
        description="For Contrastive: width of the space that both are projected into; 128 when not given.",
    )
    negatives: int | None = Field(
        default=None,
        ge=1,
        le=65_536,
        description="For Contrastive: other samples that each step contrasts with; 4096 when not given.",
    )
    momentum: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="For Contrastive: how much of its old content the memory bank keeps; 0.5 when not given.",
        json_schema_extra={"x-says": "must be at least 0 and less than 1"},
    )

    @model_validator(mode="after")
    def _check_fields(self) -> Self:
        for name, rule in _BELONGS.items():
            rule.check(holds=getattr(self, name) is None or name in FIELDS[self.type])
        for kind, rule in _NEEDS_PAIRS.items():
            rule.check(holds=self.type is not kind or self.pairs is not None)
        single = self.type in {TermType.RELATIONAL, TermType.CONTRASTIVE}
        _ONE_PAIR.check(holds=not single or self.pairs is None or len(self.pairs) == 1)
        projected = any(pair.projection for pair in self.pairs or ())
        _PROJECTION_OF_HINT.check(holds=self.type is TermType.HINT or not projected)
        return self

    @model_validator(mode="after")
    def _check_values(self) -> Self:
        if self.type is TermType.KL_DIVERGENCE and self.beta is not None:
            _BETA_OF_JENSEN_SHANNON.check(holds=self.variant is KLVariant.JENSEN_SHANNON)
            _BETA_INSIDE.check(holds=0 < self.beta < 1)
        _SKEW_OF_SKEWED.check(holds=self.skew is None or self.variant is KLVariant.SKEWED)
        _SOMETHING_RELATIONAL.check(holds=self.distance != 0 or self.angle != 0)
        return self
