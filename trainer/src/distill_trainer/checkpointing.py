"""Activations that are computed again in the backward pass instead of kept: `training.activationCheckpointing`.

Chen et al.: Training Deep Nets with Sublinear Memory Cost (arXiv 1604.06174). Transformers says which of its models can.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from distill_trainer.errors import ContractBroken
from distill_trainer.layers import bare
from distill_trainer.parts import has_batch_norm

FIELD = "training.activationCheckpointing"


def check_checkpointing(student: nn.Module, name: str) -> None:
    """Raise ContractBroken where the student cannot compute its activations twice and be the same."""
    model: Any = getattr(bare(student), "model", None)
    if not getattr(model, "supports_gradient_checkpointing", False):
        raise ContractBroken(
            "CheckpointingRefused",
            f"{FIELD} is true, and student {name} is no Transformers model that can compute its layers twice: remove it; "
            "training.gradientAccumulation saves memory with any student",
        )
    if has_batch_norm(student):
        raise ContractBroken(
            "CheckpointingRefused",
            f"{FIELD} is true, and student {name} has batch normalization, whose statistics would be taken twice: remove it",
        )


def enable_checkpointing(student: nn.Module) -> None:
    """Keep the inputs of the student's layers alone while it is trained. Layers that terms look at are seen all the same."""
    model: Any = bare(student).model
    model.activation_checkpointing_enable({"use_reentrant": False})
