"""Divergence of how similar each text is to the others of its batch, for outputs that are embeddings.

Abbasi Koohpayegani, Tejankar, Pirsiavash: CompRess (arXiv 2010.14713), equations 1 and 2, with the batch's own samples as
anchors. The cosines take the place of logits, so widths may differ.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from distill_trainer.losses.kl_divergence import variant_of
from distill_trainer.losses.precision import at_least_float32
from distill_trainer.losses.term import Outputs, Targets, TermPlan
from distill_trainer.losses.whole_step import ComparingTerm


def similarities(vectors: Tensor) -> Tensor:
    """Embeddings [B, D] → cosines with the other samples of the batch, [B, B − 1]; a sample's own, always 1, is left out."""
    directions = F.normalize(at_least_float32(vectors), dim=-1)
    others = ~torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
    return (directions @ directions.T)[others].view(len(vectors), max(len(vectors) - 1, 0))


class SimilarityTerm(ComparingTerm):
    """T² · KL of softmax(cosines/T), mean over samples; in every variant of KLDivergence."""

    def __init__(self, divergence: Callable[..., Tensor], temperature: float) -> None:
        super().__init__()
        self._divergence = divergence
        self.temperature = temperature

    @classmethod
    def of(cls, plan: TermPlan) -> SimilarityTerm:
        """From the API's term."""
        return cls(variant_of(plan.term), plan.temperature)

    def vectors(self, outputs: Outputs, targets: Targets, *, student: bool) -> Tensor:  # noqa: ARG002
        """See ComparingTerm: the embeddings."""
        return at_least_float32(outputs.logits)

    def between(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See ComparingTerm."""
        return self._divergence(similarities(student), similarities(teacher), self.temperature)
