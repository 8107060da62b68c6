"""How good outputs are: the student's on the validation split after each epoch, both models' on the test split at the end.

A task names its `Judge`; loop, result and report ask it and do not look at outputs themselves. A further kind of output is
one file here.
"""

from __future__ import annotations

from distill_trainer.judging.classes import ClassJudge, ClassValidation
from distill_trainer.judging.embeddings import SimilarityJudge
from distill_trainer.judging.judge import Embedded, Examined, Figures, Judge, Reading, Validation

__all__ = [
    "ClassJudge",
    "ClassValidation",
    "Embedded",
    "Examined",
    "Figures",
    "Judge",
    "Reading",
    "SimilarityJudge",
    "Validation",
]
