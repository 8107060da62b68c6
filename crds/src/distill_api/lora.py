"""Students that are trained by low-rank adapters alone (`student.lora`)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from distill_api.base import ApiModel


class Lora(ApiModel):
    """W + alpha ÷ rank · B·A in chosen layers: A and B are trained, W is not. Hu et al.: LoRA (arXiv 2106.09685)."""

    rank: Annotated[int, Field(ge=1, le=1024)] = Field(
        default=8, description="Columns of B and rows of A: how much can change."
    )
    alpha: float = Field(
        default=16,
        gt=0,
        le=4096,
        description="The change is weighed by alpha ÷ rank.",
        json_schema_extra={"x-says": "must be more than 0 and at most 4096"},
    )
    dropout: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share of an adapter's inputs that is left out in training.",
        json_schema_extra={"x-says": "must be at least 0 (none) and less than 1"},
    )
    target_modules: (
        Annotated[
            list[Annotated[str, Field(min_length=1, max_length=128)]], Field(min_length=1, max_length=64)
        ]
        | None
    ) = Field(
        default=None,
        description="Names of the layers that are adapted, as in [q_proj, v_proj], in every block. When not given those that "
        "the PEFT library has for the model's kind.",
    )
