"""The losses, one file each, with paper and equation: pure functions of tensors, and the terms of the objective.

Softmax is taken in 32 bits whatever the precision of the logits. Imported by the tasks, which say how they combine.
"""

from distill_trainer.losses.combined import Combined, LossParts, Weighted
from distill_trainer.losses.cross_entropy import cross_entropy
from distill_trainer.losses.kl_divergence import kl_divergence
from distill_trainer.losses.registry import build_objective, embedding_objective, kl_objective
from distill_trainer.losses.term import LOGITS, Outputs, PlannedPair, Targets, TeacherTerm, TermPlan

__all__ = [
    "LOGITS",
    "Combined",
    "LossParts",
    "Outputs",
    "PlannedPair",
    "Targets",
    "TeacherTerm",
    "TermPlan",
    "Weighted",
    "build_objective",
    "cross_entropy",
    "embedding_objective",
    "kl_divergence",
    "kl_objective",
]
