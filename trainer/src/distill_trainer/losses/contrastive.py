"""Contrastive representation distillation: student and teacher agree on a sample more than on other samples.

Tian, Krishnan, Isola: Contrastive Representation Distillation (arXiv 1910.10699), equations 17 to 19. The critic is the
paper's own, without the constant Z of its published code, which there is frozen at whatever the first batch gives.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distill_trainer.losses.embedding import embedding, embedding_width
from distill_trainer.losses.rows import Count, mean_over_rows
from distill_trainer.losses.term import Outputs, PlannedPair, Targets, TeacherTerm, TermPlan

DEFAULT_TEMPERATURE, DEFAULT_DIMENSION, DEFAULT_NEGATIVES, DEFAULT_MOMENTUM = 0.07, 128, 4096, 0.5


def contrastive(
    anchor: Tensor,
    positive: Tensor,
    negatives: Tensor,
    *,
    temperature: float,
    samples: int,
    allowed: Tensor | None = None,
    count: Count = None,
) -> Tensor:
    """−log h(positive) − Σ log(1 − h(negative)), mean over rows; one direction.

    With h(g, g') = e^{g·g'/τ} / (e^{g·g'/τ} + N/M), N negatives of a row and M samples in all: a logistic function of
    g·g'/τ − log(N/M), so nothing overflows. Anchor and positive [B, D] and negatives [N, D] have length 1; `allowed`
    (bool [B, N]) leaves out a row's own sample among the negatives.
    """
    scores = anchor @ negatives.T / temperature
    allowed = torch.ones_like(scores, dtype=torch.bool) if allowed is None else allowed
    # A row whose every draw was its own sample has none left: its N is taken as 1, not 0, whose logarithm is infinite.
    noise = (allowed.sum(dim=-1).clamp(min=1).to(scores.dtype) / samples).log()
    pulled = F.softplus(noise - (anchor * positive).sum(dim=-1) / temperature)
    pushed = F.softplus(scores - noise[:, None]).where(allowed, scores.new_zeros(())).sum(dim=-1)
    return mean_over_rows(pulled + pushed, count)


class MemoryBank(nn.Module):
    """The latest embedding of every training sample, by its place in the training split; a buffer, so it is resumed."""

    entries: Tensor

    def __init__(self, samples: int, dimension: int, momentum: float) -> None:
        super().__init__()
        self._momentum = momentum
        self.register_buffer("entries", F.normalize(torch.randn(samples, dimension), dim=-1))

    @torch.no_grad()
    def update(self, rows: Tensor, embeddings: Tensor) -> None:
        """Move the entries of `rows` (int64 [B]) towards their embeddings [B, D], back to length 1."""
        mixed = self._momentum * self.entries[rows] + (1 - self._momentum) * embeddings.to(self.entries.dtype)
        self.entries[rows] = F.normalize(mixed, dim=-1)


class ContrastiveTerm(TeacherTerm):
    """Projections of both models, their memory banks, and the loss in both directions.

    The negatives of a step are drawn once for its batch, uniformly over all training samples.
    """

    def __init__(
        self,
        pair: PlannedPair,
        *,
        samples: int,
        temperature: float = DEFAULT_TEMPERATURE,
        dimension: int = DEFAULT_DIMENSION,
        negatives: int = DEFAULT_NEGATIVES,
        momentum: float = DEFAULT_MOMENTUM,
    ) -> None:
        super().__init__([pair])
        self._pair, self._samples, self._temperature = pair, samples, temperature
        self._negatives = min(negatives, samples)
        self.student_projection = nn.Linear(embedding_width(pair.student_shape), dimension)
        self.teacher_projection = nn.Linear(embedding_width(pair.teacher_shape), dimension)
        self.student_bank = MemoryBank(samples, dimension, momentum)
        self.teacher_bank = MemoryBank(samples, dimension, momentum)

    @classmethod
    def of(cls, plan: TermPlan) -> ContrastiveTerm:
        """From the API's term."""
        term = plan.term
        return cls(
            plan.pairs[0],
            samples=plan.samples,
            temperature=term.temperature or DEFAULT_TEMPERATURE,
            dimension=term.dimension or DEFAULT_DIMENSION,
            negatives=term.negatives or DEFAULT_NEGATIVES,
            momentum=DEFAULT_MOMENTUM if term.momentum is None else term.momentum,
        )

    def compare(self, student: Outputs, teacher: Outputs, targets: Targets) -> Tensor:
        """See TeacherTerm. In training mode the banks then take the batch in. Raises ValueError without the samples' rows."""
        if targets.rows is None:
            raise ValueError("the memory bank needs the rows of the batch's samples")
        rows = targets.rows.to(self.student_bank.entries.device)
        g_s = self._projected(self.student_projection, student.of(self._pair.student), targets.tokens)
        g_t = self._projected(
            self.teacher_projection, teacher.of(self._pair.teacher).detach(), targets.tokens
        )
        drawn = torch.randint(self._samples, (self._negatives,)).to(
            rows.device
        )  # of the CPU's generator, as resumed
        loss = self._both_directions(g_s, g_t, drawn, drawn[None, :] != rows[:, None], targets.sample_count)
        if self.training:
            self.student_bank.update(rows, g_s.detach())
            self.teacher_bank.update(rows, g_t.detach())
        return loss

    def _both_directions(
        self, g_s: Tensor, g_t: Tensor, drawn: Tensor, allowed: Tensor, count: Count
    ) -> Tensor:
        # Indexing copies: the update of the banks does not touch what the backward pass needs.
        losses = [
            contrastive(
                anchor,
                positive,
                bank.entries[drawn].to(anchor.dtype),
                temperature=self._temperature,
                samples=self._samples,
                allowed=allowed,
                count=count,
            )
            for anchor, positive, bank in (
                (g_s, g_t, self.teacher_bank),
                (g_t, g_s, self.student_bank),
            )
        ]
        return losses[0] + losses[1]

    def _projected(self, projection: nn.Module, values: Tensor, tokens: Tensor | None) -> Tensor:
        return F.normalize(projection(embedding(values, tokens)), dim=-1)
