"""One label for each text."""

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
from distill_trainer.batch import Inputs
from distill_trainer.data import DataSet, Description
from distill_trainer.data.dataset import Opened
from distill_trainer.data.sources import open_source
from distill_trainer.data.tables import labels_of, row_ids
from distill_trainer.data.texts import refuse_pictures, text_splits
from distill_trainer.errors import ContractBroken
from distill_trainer.judging import ClassJudge
from distill_trainer.losses import Combined, TermPlan, build_objective
from distill_trainer.models import ModelSource, Signature
from distill_trainer.tasks.kit import Sources
from distill_trainer.text import TextEncoder, shared_encoder

TASK = Task.TEXT_CLASSIFICATION
EVALUATION_BATCH = 64


class TextClassification:
    """Texts → one of the classes."""

    pipeline = "text-classification"
    hub_task = "text-classification"
    library = "transformers"
    usage = 'from transformers import pipeline\n\nanswer = pipeline("text-classification", FOLDER)'
    rows_are = "samples"
    agreeing = "predict the same class"
    classes_have_names = True
    fuses = False
    judge = ClassJudge()

    def describe(self, config: TrainerConfig, sources: Sources) -> Description:
        """See TaskKit."""
        return data.describe(config.dataset, seed=config.training.seed, opener=self._opener(config, sources))

    def load(self, config: TrainerConfig, sources: Sources) -> DataSet:
        """See TaskKit."""
        return data.load(config.dataset, seed=config.training.seed, opener=self._opener(config, sources))

    def signature(self, data: Description) -> Signature:
        """See TaskKit."""
        return Signature(TASK, len(data.classes), names=data.classes)

    def samples_are(self, data: Description) -> str:  # noqa: ARG002
        """See TaskKit."""
        return "text"

    def objective(self, objective: Objective, plans: Sequence[TermPlan]) -> Combined:
        """α·CE + (1−α)·Σ wᵢ·Lᵢ; a row of the losses is a text."""
        return build_objective(objective.alpha, plans)

    def example(self, signature: Signature, batch: int, device: torch.device) -> Inputs:  # noqa: ARG002
        """Texts of 16 tokens."""
        return token_example(batch, device)

    def fits(self, logits: Tensor, signature: Signature, batch: int) -> bool:
        """See TaskKit."""
        return tuple(logits.shape) == (batch, signature.classes)

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
        """The tokenizer, which the server reads texts with."""
        shared_encoder(config.dataset, sources.teacher, sources.student).tokenizer.save_pretrained(folder)

    def reads(self, config: TrainerConfig, sources: Sources, data: Description | DataSet) -> dict[str, Any]:  # noqa: ARG002
        """Where texts are cut."""
        return {"maxTokens": shared_encoder(config.dataset, sources.teacher, sources.student).max_tokens}

    def _opener(self, config: TrainerConfig, sources: Sources) -> data.Opener:
        encoder = shared_encoder(config.dataset, sources.teacher, sources.student)
        _refuse_other_padding(encoder.tokenizer, teacher=sources.teacher, student=sources.student)
        return partial(labelled_texts, encoder=encoder)


def labelled_texts(dataset: Dataset, encoder: TextEncoder) -> Opened:
    """A text and a label each row. Raises ContractBroken."""
    tables = open_source(dataset)
    if isinstance(tables, Opened):
        raise refuse_pictures(tables, TASK.value)
    columns = dataset.columns
    tables.require({"text": columns.text, "label": columns.label})
    labelled = labels_of(tables, dataset)
    splits = text_splits(
        tables,
        columns.text,
        labelled.indices,
        lambda split: row_ids(split, tables.splits[split]),
        encoder,
    )
    return Opened(tables.name, labelled.classes, None, splits, labelled.says)


def _refuse_other_padding(tokenizer: Any, **sources: ModelSource) -> None:
    """A decoder answers at a text's last token, which is the one before padding: it must know what padding is."""
    for field, source in sources.items():
        ends = source.ends_by_padding()
        if ends is not None and ends[0] != tokenizer.pad_token_id:
            said = "no pad_token_id" if ends[0] is None else f"pad_token_id {ends[0]}"
            raise ContractBroken(
                "PaddingMismatch",
                f"{field} {source.name} finds the last token of a text by its padding, has {said} in its config.json, and the "
                f"tokenizer pads with {tokenizer.pad_token_id} ({tokenizer.pad_token!r}): it would answer for another token; "
                f"set pad_token_id there to {tokenizer.pad_token_id}",
            )


def token_example(batch: int, device: torch.device) -> dict[str, Tensor]:
    """Texts of 16 tokens, the same token each time, all of which count."""
    tokens = torch.ones(batch, 16, dtype=torch.int64, device=device)
    return {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}
