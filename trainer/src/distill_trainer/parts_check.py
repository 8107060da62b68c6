"""Whether batches can be cut as the job and its processes ask, and what a cut changes. Called by `run`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from distill_api.contract import TrainerConfig
from distill_api.terms import TermType
from distill_api.training import Strategy
from distill_trainer.errors import ContractBroken
from distill_trainer.losses import TermPlan
from distill_trainer.losses.contrastive import ContrastiveTerm
from distill_trainer.losses.whole_step import ComparingTerm
from distill_trainer.parts import Parts, has_batch_norm, smallest_part


def check_parts(config: TrainerConfig, terms: Sequence[TermPlan], world: int) -> None:
    """Raise ContractBroken where a batch cannot feed all processes, or a term cannot be spread over them."""
    size, cuts = config.training.batch_size, config.training.gradient_accumulation
    if size < world * cuts:
        raise ContractBroken(
            "BatchTooSmall",
            f"training.batchSize {size} cannot be cut into {world * cuts} parts (processes: {world}, training.gradientAccumulation: "
            f"{cuts}): raise it to a multiple of {world * cuts}, or lower gradientAccumulation",
        )
    if world > 1 and any(plan.term.type is TermType.CONTRASTIVE for plan in terms):
        raise ContractBroken(
            "TermNotParallel",
            f"objective.terms: Contrastive cannot be trained by {world} processes, each of which would have a memory bank of its "
            "own: use one process, or another term",
        )


def part_warnings(parts: Parts) -> Iterator[str]:
    """What is not the same as in one piece once batches are cut. Raises ContractBroken where a part is too small."""
    if parts.ranks.world == 1 and parts.training.strategy is Strategy.FSDP:
        yield "training.strategy FSDP has no effect with one process: there is nobody to share with"
    count, size = parts.ranks.world * parts.training.gradient_accumulation, parts.training.batch_size
    if count == 1:
        return
    if size < count * smallest_part(parts.student):
        raise ContractBroken(
            "BatchTooSmall",
            f"training.batchSize {size} cannot be cut into {count} parts of two samples, which the student's batch normalization "
            f"needs: raise it to {2 * count} or more, or lower training.gradientAccumulation",
        )
    terms = [term for objective in parts.objectives for term in objective.terms]
    cut = parts.training.gradient_accumulation > 1
    if cut and any(isinstance(term, ComparingTerm | ContrastiveTerm) for term in terms):
        yield (
            f"batches are cut into {count} parts: Relational, and KLDivergence of embeddings, compare the samples of a part and "
            "Contrastive draws its negatives for each, so their losses are not those of the whole batch"
        )
    if has_batch_norm(parts.student):
        yield (
            f"batches are cut into {count} parts: the student's batch normalization takes its statistics over "
            f"{size // count} samples instead of {size}"
        )
