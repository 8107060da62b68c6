"""Teacher distributions of which only a part is known, and the losses on them.

What is known are the most likely classes with the mass of all others (`TopKTeacher`), or classes drawn by their
probability (`SampledTeacher`). `teacher_outputs` makes them of what is stored; `kl_divergence` and
`soft_target_cross_entropy` take them where they take logits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from distill_trainer.losses.precision import at_least_float32
from distill_trainer.losses.rows import flat_rows


@dataclass(frozen=True)
class TopKTeacher:
    """K classes of each row that counts. `indices` int64 [N, K], `log_p` [N, K] their log-probabilities at T = 1.

    `tails` has for each temperature T that is asked for log Σ exp(log p / T) over all other classes, [N].
    """

    indices: Tensor
    log_p: Tensor
    tails: Mapping[float, Tensor]

    def softened(self, temperature: float) -> Tensor:
        """Log-probabilities [N, K + 1] at T; the last column is all other classes together. Raises KeyError."""
        tail = self.tails[temperature]
        return F.log_softmax(torch.cat([self.log_p / temperature, tail[:, None]], dim=-1), dim=-1)


@dataclass(frozen=True)
class SampledTeacher:
    """K classes drawn from p at T for each row that counts; every draw weighs 1/K. `entropy` [N] is that of p."""

    indices: Tensor
    entropy: Tensor
    temperature: float


SparseTeacher = TopKTeacher | SampledTeacher


def categories(
    student: Tensor, teacher: TopKTeacher, temperature: float, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Both as log-probabilities [N, K + 1] at T: the teacher's K classes, and all others as one.

    A divergence of these is that of the whole distributions less what differs within the others, so it is never more,
    and 0 where both are equal. Truncating instead (K classes, others left out) is no divergence at all.
    """
    z = at_least_float32(flat_rows(student, mask)) / temperature
    known = z.gather(-1, teacher.indices)
    # Taken from the other logits themselves: 1 − Σ q would have no digit left where the known classes are almost all.
    others = z.scatter(-1, teacher.indices, -torch.inf).logsumexp(dim=-1, keepdim=True)
    log_q = torch.cat([known, others], dim=-1) - z.logsumexp(dim=-1, keepdim=True)
    return teacher.softened(temperature), log_q


def sampled_cross_entropy(
    student: Tensor, teacher: SampledTeacher, temperature: float, mask: Tensor | None = None
) -> Tensor:
    """−1/K · Σ log q(drawn) of each row, [N]. Its expectation, and that of its gradient, is that of −Σ p log q.

    Anshumann et al.: Sparse Logit Sampling (arXiv 2503.16870), section 4. Less the teacher's entropy it is KL(p ‖ q) in
    expectation; a single row's may be below 0. Raises ValueError for another temperature than that of the draws.
    """
    if temperature != teacher.temperature:
        raise ValueError(f"the draws are of temperature {teacher.temperature:g}, not {temperature:g}")
    z = at_least_float32(flat_rows(student, mask)) / temperature
    return z.logsumexp(dim=-1) - z.gather(-1, teacher.indices).mean(dim=-1)
