"""What differs between tasks: how data is read, what the loss is, how a prediction is scored.

A further task is one file here with a `TaskKit` and one line in `_KITS`.
"""

from __future__ import annotations

from distill_api.training import Task
from distill_trainer.tasks.causal_lm import CausalLM
from distill_trainer.tasks.embedding import Embedding
from distill_trainer.tasks.image_classification import ImageClassification
from distill_trainer.tasks.kit import Sources, TaskKit
from distill_trainer.tasks.text_classification import TextClassification
from distill_trainer.tasks.token_classification import TokenClassification

__all__ = ["Sources", "TaskKit", "kit_of"]

_KITS: dict[Task, TaskKit] = {
    Task.IMAGE_CLASSIFICATION: ImageClassification(),
    Task.TEXT_CLASSIFICATION: TextClassification(),
    Task.TOKEN_CLASSIFICATION: TokenClassification(),
    Task.CAUSAL_LM: CausalLM(),
    Task.EMBEDDING: Embedding(),
}


def kit_of(task: Task) -> TaskKit:
    """The kit of a task; every value of the API's enum has one."""
    return _KITS[task]
