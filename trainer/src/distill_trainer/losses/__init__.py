"""The losses: pure functions of logits and labels, one file each, with paper and equation.

Softmax is taken in 32 bits whatever the precision of the logits. Imported by the tasks, which say how they combine.
"""

from distill_trainer.losses.combined import Combined, LossParts
from distill_trainer.losses.cross_entropy import cross_entropy
from distill_trainer.losses.kl_divergence import kl_divergence

__all__ = ["Combined", "LossParts", "cross_entropy", "kl_divergence"]
