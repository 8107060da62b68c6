"""What of a spec has no meaning for task Embedding, whose texts have no labels and whose outputs are no classes.

Used by the spec and by what the trainer is told of it. The API server fills in defaults before it asks a rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from distill_api.base import Rule
from distill_api.curriculum_rules import stages_of
from distill_api.teacher_outputs import Encoding
from distill_api.terms import TermType
from distill_api.training import Metric, Task

if TYPE_CHECKING:
    from distill_api.contract import TrainerConfig
    from distill_api.job import DistillationJobSpec

OF_CLASSES = (TermType.SOFT_TARGET_CROSS_ENTROPY, TermType.DECOUPLED)
"""Terms that compare probabilities of classes, and nothing that embeddings have in their place."""
_OTHER = "self.task != 'Embedding'"


def _everywhere(holds: str) -> str:
    """CEL that `holds`, of an `objective`, is true of each stage's where there are stages, else of the job's own."""
    stages = holds.format("stage.objective")
    return (
        f"{_OTHER} || (has(self.curriculum) && has(self.curriculum.stages) ? "
        f"self.curriculum.stages.all(stage, {stages}) : {holds.format('self.objective')})"
    )


_ENCODERS = "must be a Transformers encoder for task Embedding: name a model with huggingFace"
OF_TEACHER = Rule(f"{_OTHER} || has(self.teacher.huggingFace)", _ENCODERS, field="teacher")
OF_STUDENT = Rule(
    f"{_OTHER} || has(self.student.huggingFace) || has(self.student.initFromTeacher)",
    f"{_ENCODERS}, or start with initFromTeacher",
    field="student",
)
NO_LABELS = Rule(
    _everywhere("{0}.alpha == 0.0"),
    "must be 0 for task Embedding, whose texts have no labels, in each stage of a curriculum too: write alpha: 0",
    field="objective.alpha",
)
NO_CLASSES = Rule(
    _everywhere(
        f"!has({{0}}.terms) || {{0}}.terms.all(term, !(term.type in [{', '.join(repr(kind.value) for kind in OF_CLASSES)}]))"
    ),
    "must not be SoftTargetCrossEntropy or Decoupled for task Embedding, which has no classes: use KLDivergence, which "
    "compares the similarities of the batch's texts, Relational, or MSELogits",
    field="objective.terms",
)
NO_CONFIDENCE = Rule(
    f"{_OTHER} || !has(self.curriculum) || !has(self.curriculum.sampling)",
    "goes by the teacher's confidence in labels, which texts of task Embedding have not: remove it",
    field="curriculum.sampling",
)
WHOLE_VECTORS = Rule(
    f"{_OTHER} || !has(self.teacherOutputs.encoding) || self.teacherOutputs.encoding in ['Auto', 'Dense']",
    "must be Dense for task Embedding, of whose values none can stand for all: set it to Dense, or leave it out",
    field="teacherOutputs.encoding",
)
SPEARMAN = Rule(
    "(self.task == 'Embedding') == (self.evaluation.metric == 'spearman')",
    "must be spearman for task Embedding, and for no other: it compares similarities of texts; set it to spearman, or to "
    "accuracy or macroF1 for a task with labels",
    field="evaluation.metric",
)
RULES = (OF_TEACHER, OF_STUDENT, NO_LABELS, NO_CLASSES, NO_CONFIDENCE, WHOLE_VECTORS, SPEARMAN)


def check_embedding(spec: DistillationJobSpec | TrainerConfig) -> None:
    """The rules in Python. Raises ValueError with the sentence of the first that does not hold."""
    embedding, student = spec.task is Task.EMBEDDING, spec.student
    SPEARMAN.check(holds=embedding == (spec.evaluation.metric is Metric.SPEARMAN))
    if not embedding:
        return
    OF_TEACHER.check(holds=spec.teacher.hugging_face is not None)
    OF_STUDENT.check(holds=student.hugging_face is not None or student.init_from_teacher is not None)
    objectives = [stage.objective for stage in stages_of(spec.curriculum, spec.objective, spec.training)]
    NO_LABELS.check(holds=all(objective.alpha == 0 for objective in objectives))
    terms = [term for objective in objectives for term in objective.terms or ()]
    NO_CLASSES.check(holds=all(term.type not in OF_CLASSES for term in terms))
    NO_CONFIDENCE.check(holds=spec.curriculum is None or spec.curriculum.sampling is None)
    WHOLE_VECTORS.check(holds=spec.teacher_outputs.encoding in {Encoding.AUTO, Encoding.DENSE})
