"""Where a curriculum and the rest of a spec do not go together. Used by the spec and by what the trainer is told of it.

The API server fills in defaults before it asks a rule, so a field that holds its default counts as not given.
"""

from __future__ import annotations

from distill_api.base import Rule
from distill_api.curriculum import Curriculum, Schedules, Stage
from distill_api.teacher_outputs import Encoding, TeacherOutputs
from distill_api.terms import TermType
from distill_api.training import Objective, Training

SOFTENING = (TermType.KL_DIVERGENCE, TermType.SOFT_TARGET_CROSS_ENTROPY, TermType.DECOUPLED)
"""Terms that objective.temperature is the temperature of, where they have none of their own."""
_SPARSE_ENCODINGS = {Encoding.TOP_K, Encoding.SAMPLED}
_DEFAULT, _EPOCHS = Objective(), Training().epochs
_NO_SCHEDULES = "!has(self.curriculum) || !has(self.curriculum.schedules)"
_FIXED_T = f"{_NO_SCHEDULES} || !has(self.curriculum.schedules.temperature)"
_FIXED_ALPHA = f"{_NO_SCHEDULES} || !has(self.curriculum.schedules.alpha)"
_INSTEAD = "has no effect beside curriculum.schedules.{0}, which sets it step by step: remove one of both"
_SPARSE = "must not be TopK or Sampled with {0}: set it to Dense or HiddenState, or leave it out"

TEMPERATURE_ONCE = Rule(
    f"{_FIXED_T} || self.objective.temperature == {_DEFAULT.temperature!r}",
    _INSTEAD.format("temperature"),
    field="objective.temperature",
)
ALPHA_ONCE = Rule(
    f"{_FIXED_ALPHA} || self.objective.alpha == {_DEFAULT.alpha!r}",
    _INSTEAD.format("alpha"),
    field="objective.alpha",
)
TEMPERATURE_HAS_A_TERM = Rule(
    f"{_FIXED_T} || !has(self.objective.terms) || self.objective.terms.exists(term, !has(term.temperature) && term.type in "
    f"[{', '.join(repr(kind.value) for kind in SOFTENING)}])",
    "has no effect: every term has a temperature of its own, or none; remove temperature from a term, or this schedule",
    field="curriculum.schedules.temperature",
)
TEMPERATURE_IS_NOT_STORED = Rule(
    f"{_FIXED_T} || !has(self.teacherOutputs.encoding) || !(self.teacherOutputs.encoding in ['TopK', 'Sampled'])",
    _SPARSE.format(
        "curriculum.schedules.temperature, since they store the teacher at temperatures that stay"
    ),
    field="teacherOutputs.encoding",
)
_NO_SAMPLING = "!has(self.curriculum) || !has(self.curriculum.sampling)"
SAMPLING_IS_NOT_STORED = Rule(
    f"{_NO_SAMPLING} || !has(self.teacherOutputs.encoding) || !(self.teacherOutputs.encoding in ['TopK', 'Sampled'])",
    _SPARSE.format("curriculum.sampling, which asks for the probability of every label"),
    field="teacherOutputs.encoding",
)
SAMPLING_ENDS = Rule(
    f"{_NO_SAMPLING} || self.curriculum.sampling.fullAtEpoch <= (has(self.curriculum.stages) ? "
    "self.curriculum.stages.map(stage, stage.epochs).sum() : self.training.epochs)",
    "must be at most the epochs in all: some samples would never be seen",
    field="curriculum.sampling.fullAtEpoch",
)
_NO_STAGES = "!has(self.curriculum) || !has(self.curriculum.stages)"
OBJECTIVE_OF_STAGES = Rule(
    f"{_NO_STAGES} || (self.objective.alpha == {_DEFAULT.alpha!r} && self.objective.temperature == {_DEFAULT.temperature!r} && "
    "!has(self.objective.terms))",
    "has no effect beside curriculum.stages, each of which has its own: remove one of both",
    field="objective",
)
EPOCHS_OF_STAGES = Rule(
    f"{_NO_STAGES} || self.training.epochs == {_EPOCHS}",
    "has no effect beside curriculum.stages, each of which has its own: remove one of both",
    field="training.epochs",
)


def _ends_in_time(name: str) -> Rule:
    schedule = f"self.curriculum.schedules.{name}"
    return Rule(
        f"{_NO_SCHEDULES} || !has({schedule}) || !has({schedule}.untilEpoch) || {schedule}.untilEpoch <= self.training.epochs",
        "must be at most training.epochs: `to` would never be reached",
        field=f"curriculum.schedules.{name}.untilEpoch",
    )


TEMPERATURE_ENDS, ALPHA_ENDS = _ends_in_time("temperature"), _ends_in_time("alpha")
RULES = (
    TEMPERATURE_ONCE,
    ALPHA_ONCE,
    TEMPERATURE_HAS_A_TERM,
    TEMPERATURE_IS_NOT_STORED,
    TEMPERATURE_ENDS,
    ALPHA_ENDS,
    OBJECTIVE_OF_STAGES,
    EPOCHS_OF_STAGES,
    SAMPLING_IS_NOT_STORED,
    SAMPLING_ENDS,
)


def check_curriculum(
    curriculum: Curriculum | None, objective: Objective, training: Training, outputs: TeacherOutputs
) -> None:
    """The rules in Python. Raises ValueError with the sentence of the first that does not hold."""
    if curriculum is None:
        return
    if curriculum.stages is not None:
        OBJECTIVE_OF_STAGES.check(holds=objective == _DEFAULT)
        EPOCHS_OF_STAGES.check(holds=training.epochs == _EPOCHS)
    if curriculum.sampling is not None:
        SAMPLING_IS_NOT_STORED.check(holds=outputs.encoding not in _SPARSE_ENCODINGS)
        epochs = sum(stage.epochs for stage in stages_of(curriculum, objective, training))
        SAMPLING_ENDS.check(holds=curriculum.sampling.full_at_epoch <= epochs)
    if curriculum.schedules is not None:
        _check_schedules(curriculum.schedules, objective, training, outputs)


def _check_schedules(
    schedules: Schedules, objective: Objective, training: Training, outputs: TeacherOutputs
) -> None:
    if schedules.temperature is not None:
        TEMPERATURE_ONCE.check(holds=objective.temperature == _DEFAULT.temperature)
        following = (
            term.temperature is None and term.type in SOFTENING for term in objective.effective_terms
        )
        TEMPERATURE_HAS_A_TERM.check(holds=any(following))
        TEMPERATURE_IS_NOT_STORED.check(holds=outputs.encoding not in _SPARSE_ENCODINGS)
        TEMPERATURE_ENDS.check(holds=(schedules.temperature.until_epoch or 0) <= training.epochs)
    if schedules.alpha is not None:
        ALPHA_ONCE.check(holds=objective.alpha == _DEFAULT.alpha)
        ALPHA_ENDS.check(holds=(schedules.alpha.until_epoch or 0) <= training.epochs)


def stages_of(curriculum: Curriculum | None, objective: Objective, training: Training) -> tuple[Stage, ...]:
    """The trainings one after the other; one of the whole unless the curriculum has stages."""
    if curriculum is not None and curriculum.stages is not None:
        return tuple(curriculum.stages)
    return (Stage(name="training", epochs=training.epochs, objective=objective),)
