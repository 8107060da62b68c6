"""Divergence of how similar each text is to the others of its batch, for outputs that are embeddings.

Abbasi Koohpayegani, Tejankar, Pirsiavash: CompRess (arXiv 2010.14713), equations 1 and 2, with the batch's own samples as
anchors. The cosines take the place of logits, so widths may differ.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from distill_trainer.losses.kl_divergence import KLDivergenceTerm
from distill_trainer.losses.precision import at_least_float32
from distill_trainer.losses.term import Outputs, Targets


def similarities(vectors: Tensor) -> Tensor:
    """Embeddings [B, D] → cosines with the other samples of the batch, [B, B − 1]; a sample's own, always 1, is left out."""
    directions = F.normalize(at_least_float32(vectors), dim=-1)
    others = ~torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
    return (directions @ directions.T)[others].view(len(vectors), max(len(vectors) - 1, 0))


class SimilarityTerm(KLDivergenceTerm):
    """T² · KL of softmax(cosines/T), mean over samples; in every variant of KLDivergence."""

    def compare(self, student: Outputs, teacher: Outputs, targets: Targets) -> Tensor:
        """See TeacherTerm. A batch that is cut into parts compares the samples of a part."""
        mine, theirs = (Outputs(similarities(said.logits)) for said in (student, teacher))
        return super().compare(mine, theirs, targets)
