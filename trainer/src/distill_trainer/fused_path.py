"""Whether a training takes the fused losses, which never hold logits over a whole vocabulary, and why where it does not.

Asked by `run` for language models, whose logits are most of a step's memory. Nothing about the numbers depends on it: both
paths give the same loss and gradients, up to the order of sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from distill_api.teacher_outputs import Encoding, OutputsMode
from distill_trainer.batch import Inputs
from distill_trainer.last_layer import LastLayer, last_layer
from distill_trainer.losses import Combined, TermPlan
from distill_trainer.losses.fused import FusedObjective, FusedTerm, NotFused, fused_term
from distill_trainer.teacher_outputs.choose import Choice

FUSED = "losses: fused with the last layer, logits over the whole vocabulary are never held in training"
_ENCODINGS = {Encoding.HIDDEN_STATE, Encoding.TOP_K}


@dataclass(frozen=True)
class FusedPath:
    """How: the student's last layer, and the teacher's where it runs beside the student; `terms` are those of the stages."""

    terms: tuple[FusedTerm | None, ...]
    student: LastLayer
    teacher: LastLayer | None
    columns: int

    def objective(self, plain: Combined, stage: int = 0) -> FusedObjective:
        """The objective of a stage, on hidden states."""
        return FusedObjective(plain, self.terms[stage], self.columns)


def fused_path(
    stages: Sequence[Sequence[TermPlan]],
    choice: Choice,
    teacher: nn.Module,
    student: nn.Module,
    example: Inputs,
    *,
    columns: int,
) -> FusedPath:
    """The path of a language model with `columns` words, for the terms of all stages. Raises NotFused, whose message is the end of a sentence."""
    terms = tuple(fused_term(plans) for plans in stages)
    plans = [plan for of_stage in stages for plan in of_stage]
    online = choice.mode is OutputsMode.ONLINE
    if any(terms) and not online and choice.encoding not in _ENCODINGS:
        raise NotFused(f"teacher outputs are stored as {choice.encoding}, and not as HiddenState or TopK")
    own = last_layer(student, example, "student")
    said = last_layer(teacher, example, "teacher") if online else None
    _refuse_watched(own, student, [pair.student for plan in plans for pair in plan.pairs], "student")
    if said is not None:
        _refuse_watched(said, teacher, [pair.teacher for plan in plans for pair in plan.pairs], "teacher")
    return FusedPath(terms, own, said, columns)


def not_fused(error: NotFused) -> str:
    """What log and report say of the plain path."""
    return f"losses: plain, with logits over the whole vocabulary in memory, since {error}"


def _refuse_watched(layer: LastLayer, network: nn.Module, names: Sequence[str], whose: str) -> None:
    if name := layer.within(network, names):
        raise NotFused(
            f"a pair of objective.terms names the {whose}'s layer {name!r}, which holds its last one"
        )
