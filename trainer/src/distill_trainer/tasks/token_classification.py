"""One label for each word of a sentence, as in named entities or parts of speech."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from distill_api.contract import TrainerConfig
from distill_api.dataset import Dataset
from distill_api.training import Objective, Task, Training
from distill_trainer import data
from distill_trainer.batch import Inputs, any_tensor
from distill_trainer.data import DataSet, Description
from distill_trainer.data.dataset import Opened
from distill_trainer.data.sources import open_source
from distill_trainer.data.texts import refuse_pictures
from distill_trainer.data.words import tagged_sentences
from distill_trainer.judging import ClassJudge
from distill_trainer.losses import Combined, TermPlan, build_objective
from distill_trainer.models import Signature
from distill_trainer.tasks.kit import Sources
from distill_trainer.tasks.text_classification import EVALUATION_BATCH, token_example
from distill_trainer.text import TextEncoder, shared_encoder
from distill_trainer.words import WordEncoder, word_encoder

TASK = Task.TOKEN_CLASSIFICATION


class TokenClassification:
    """Lists of words → one of the classes for each."""

    pipeline = "token-classification"
    hub_task = "token-classification"
    library = "transformers"
    usage = 'from transformers import pipeline\n\nanswer = pipeline("token-classification", FOLDER)'
    rows_are = "words"
    agreeing = "predict the same class"
    classes_have_names = True
    fuses = False
    judge = ClassJudge()

    def describe(self, config: TrainerConfig, sources: Sources) -> Description:
        """See TaskKit."""
        return data.describe(config.dataset, seed=config.training.seed, opener=_opener(config, sources))

    def load(self, config: TrainerConfig, sources: Sources) -> DataSet:
        """See TaskKit."""
        return data.load(config.dataset, seed=config.training.seed, opener=_opener(config, sources))

    def signature(self, data: Description) -> Signature:
        """See TaskKit."""
        return Signature(TASK, len(data.classes), names=data.classes)

    def samples_are(self, data: Description) -> str:  # noqa: ARG002
        """See TaskKit."""
        return "words with a tag each"

    def objective(self, objective: Objective, plans: Sequence[TermPlan]) -> Combined:
        """α·CE + (1−α)·Σ wᵢ·Lᵢ; a row of the losses is a word, at its first token."""
        return build_objective(objective.alpha, plans)

    def example(self, signature: Signature, batch: int, device: torch.device) -> Inputs:  # noqa: ARG002
        """Texts of 16 tokens."""
        return token_example(batch, device)

    def fits(self, logits: Tensor, signature: Signature, batch: int) -> bool:
        """See TaskKit."""
        length = any_tensor(token_example(1, torch.device("meta"))).shape[1]
        return tuple(logits.shape) == (batch, length, signature.classes)

    def evaluation_batch(self, training: Training) -> int:  # noqa: ARG002
        """See TaskKit."""
        return EVALUATION_BATCH

    def described(self, signature: Signature) -> str:
        """See TaskKit."""
        return f"{signature.classes:,} classes"

    def warnings(self, config: TrainerConfig, sources: Sources, signature: Signature) -> Iterable[str]:  # noqa: ARG002
        """None beside those of every task."""
        return ()

    def write(self, folder: Path, config: TrainerConfig, sources: Sources) -> None:
        """The tokenizer, which the server reads words with."""
        _text(config, sources).tokenizer.save_pretrained(folder)

    def reads(self, config: TrainerConfig, sources: Sources, data: Description | DataSet) -> dict[str, Any]:  # noqa: ARG002
        """Where sentences are cut."""
        return {"maxTokens": _text(config, sources).max_tokens}


def _text(config: TrainerConfig, sources: Sources) -> TextEncoder:
    return shared_encoder(config.dataset, sources.teacher, sources.student)


def _opener(config: TrainerConfig, sources: Sources) -> data.Opener:
    return partial(_opened, encoder=word_encoder(_text(config, sources)))


def _opened(dataset: Dataset, encoder: WordEncoder) -> Opened:
    found = open_source(dataset)
    if isinstance(found, Opened):
        raise refuse_pictures(found, TASK.value)
    return tagged_sentences(found, dataset, encoder)
