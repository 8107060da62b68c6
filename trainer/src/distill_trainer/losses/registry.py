"""Which class computes which type of term. A further type is its file, a value of `TermType` and one line here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from distill_api.terms import Term, TermType
from distill_trainer.losses.attention_transfer import AttentionTransferTerm
from distill_trainer.losses.combined import Combined, Weighted
from distill_trainer.losses.contrastive import ContrastiveTerm
from distill_trainer.losses.decoupled import DecoupledTerm
from distill_trainer.losses.hint import HintTerm
from distill_trainer.losses.kl_divergence import KLDivergenceTerm
from distill_trainer.losses.mse_logits import MSELogitsTerm
from distill_trainer.losses.relational import RelationalTerm
from distill_trainer.losses.similarity import SimilarityTerm
from distill_trainer.losses.soft_target_cross_entropy import SoftTargetCrossEntropyTerm
from distill_trainer.losses.term import TeacherTerm, TermPlan
from distill_trainer.losses.transformer_attention import TransformerAttentionTerm


def _attention_transfer(plan: TermPlan) -> TeacherTerm:
    """Convolutional layers have maps, transformers have attention layers."""
    mode = plan.term.mode
    kind = TransformerAttentionTerm if mode and mode.of_transformers else AttentionTransferTerm
    return kind.of(plan)


BUILDERS: dict[TermType, Callable[[TermPlan], TeacherTerm]] = {
    TermType.KL_DIVERGENCE: KLDivergenceTerm.of,
    TermType.MSE_LOGITS: MSELogitsTerm.of,
    TermType.SOFT_TARGET_CROSS_ENTROPY: SoftTargetCrossEntropyTerm.of,
    TermType.ATTENTION_TRANSFER: _attention_transfer,
    TermType.HINT: HintTerm.of,
    TermType.RELATIONAL: RelationalTerm.of,
    TermType.CONTRASTIVE: ContrastiveTerm.of,
    TermType.DECOUPLED: DecoupledTerm.of,
}

OF_EMBEDDINGS: dict[TermType, Callable[[TermPlan], TeacherTerm]] = {
    **BUILDERS,
    TermType.KL_DIVERGENCE: SimilarityTerm.of,
}
"""The same where outputs are embeddings; the API refuses those that need classes."""


def kl_objective(alpha: float, temperature: float) -> Combined:
    """What an objective without terms means: α·CE + (1−α)·T²·KL."""
    term = Term(type=TermType.KL_DIVERGENCE)
    return build_objective(alpha, [TermPlan(term.type.value, term, temperature)])


def embedding_objective(plans: Sequence[TermPlan]) -> Combined:
    """Σ wᵢ·Lᵢ of outputs that are embeddings, without labels."""
    return Combined(0.0, _weighted(plans, OF_EMBEDDINGS), labelled=False)


def build_objective(alpha: float, plans: Sequence[TermPlan]) -> Combined:
    """The objective of planned terms; what they learn starts from the global generator."""
    return Combined(alpha, _weighted(plans, BUILDERS))


def _weighted(
    plans: Sequence[TermPlan], builders: dict[TermType, Callable[[TermPlan], TeacherTerm]]
) -> list[Weighted]:
    return [
        Weighted(plan.name, plan.term.weight, builders[plan.term.type](plan), plan.follows) for plan in plans
    ]
