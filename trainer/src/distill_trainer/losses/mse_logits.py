"""Mean squared error of the logits.

Ba, Caruana: Do Deep Nets Really Need to be Deep? (arXiv 1312.6184), equation 1.
"""

from __future__ import annotations

from torch import Tensor

from distill_trainer.losses.rows import Count, mean_over_rows, valid_rows
from distill_trainer.losses.term import LogitTerm, TermPlan


def mse_logits(
    student: Tensor, teacher: Tensor, *, mask: Tensor | None = None, count: Count = None
) -> Tensor:
    """(z_s − z_t)², mean over classes and rows. Raw logits [..., C]: no temperature divides them."""
    z_s, z_t = valid_rows(student, teacher, mask)
    return mean_over_rows((z_s - z_t).square().mean(dim=-1), count)


class MSELogitsTerm(LogitTerm):
    """The logits as they are."""

    @classmethod
    def of(cls, _plan: TermPlan) -> MSELogitsTerm:
        """From the API's term."""
        return cls(mse_logits)
