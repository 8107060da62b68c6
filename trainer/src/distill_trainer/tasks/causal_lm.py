"""The next token of a text or of an assistant's answer, at every position."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
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
from distill_trainer.data.tables import Tables
from distill_trainer.data.texts import refuse_pictures
from distill_trainer.judging import ClassJudge
from distill_trainer.language import ChatEncoder, DocumentEncoder, LanguageContent, source_splits
from distill_trainer.language.odd import language_warnings
from distill_trainer.losses import Combined, TermPlan, build_objective
from distill_trainer.models import Signature, hub
from distill_trainer.tasks.kit import Sources
from distill_trainer.tasks.text_classification import token_example
from distill_trainer.text import TextEncoder, shared_encoder, token_names

TASK = Task.CAUSAL_LM
EVALUATION_BATCH = 8
"""Logits of a whole vocabulary at every position: 8 samples of 512 tokens and 128 000 of them are 2 GiB."""


class CausalLM:
    """Texts → the next token at each position, one of the vocabulary."""

    pipeline = "text-generation"
    hub_task = "text-generation"
    library = "transformers"
    usage = 'from transformers import pipeline\n\nanswer = pipeline("text-generation", FOLDER)'
    rows_are = "tokens"
    agreeing = "predict the same token"
    classes_have_names = False  # the tokenizer was compared for them
    fuses = True
    judge = ClassJudge(perplexity=True)

    def describe(self, config: TrainerConfig, sources: Sources) -> Description:
        """See TaskKit. Documents that are packed are encoded here already: it decides how many samples there are."""
        opener = partial(_opened, encoder=_encoder(config, sources))
        return data.describe(config.dataset, seed=config.training.seed, opener=opener)

    def load(self, config: TrainerConfig, sources: Sources) -> DataSet:
        """See TaskKit."""
        encoder, contents = _encoder(config, sources), dict[str, LanguageContent]()
        opener = partial(_opened, encoder=encoder, keep=contents)
        loaded = data.load(config.dataset, seed=config.training.seed, opener=opener)
        return replace(loaded, says=(*loaded.says, *_says(contents)))

    def signature(self, data: Description) -> Signature:
        """See TaskKit."""
        return Signature(TASK, len(data.classes))

    def samples_are(self, data: Description) -> str:  # noqa: ARG002
        """See TaskKit."""
        return "text"

    def objective(self, objective: Objective, plans: Sequence[TermPlan]) -> Combined:
        """α·CE + (1−α)·Σ wᵢ·Lᵢ; a row of the losses is a token that counts."""
        return build_objective(objective.alpha, plans)

    def example(self, signature: Signature, batch: int, device: torch.device) -> Inputs:  # noqa: ARG002
        """Texts of 16 tokens."""
        return token_example(batch, device)

    def fits(self, logits: Tensor, signature: Signature, batch: int) -> bool:
        """See TaskKit."""
        return logits.dim() == 3 and (len(logits), logits.shape[-1]) == (batch, signature.classes)

    def described(self, signature: Signature) -> str:
        """See TaskKit."""
        return f"{signature.classes:,} tokens in the vocabulary"

    def warnings(self, config: TrainerConfig, sources: Sources, signature: Signature) -> Iterable[str]:
        """See TaskKit."""
        return language_warnings(config, sources.student, signature.classes)

    def evaluation_batch(self, training: Training) -> int:  # noqa: ARG002
        """See TaskKit."""
        return EVALUATION_BATCH

    def write(self, folder: Path, config: TrainerConfig, sources: Sources) -> None:
        """The tokenizer, with its chat template, and how texts are continued: as the student's folder says, or its teacher's."""
        _encoder(config, sources).tokenizer.save_pretrained(folder)
        said = sources.student.generation_file() or sources.teacher.generation_file()
        if said and (folder / hub.GENERATION).is_file():  # written by models that Transformers lets generate
            shutil.copyfile(said, folder / hub.GENERATION)

    def reads(self, config: TrainerConfig, sources: Sources, data: Description | DataSet) -> dict[str, Any]:  # noqa: ARG002
        """Where texts are cut."""
        return {"maxTokens": _encoder(config, sources).max_tokens}


def _encoder(config: TrainerConfig, sources: Sources) -> TextEncoder:
    return shared_encoder(config.dataset, sources.teacher, sources.student)


def _opened(dataset: Dataset, encoder: TextEncoder, keep: dict[str, LanguageContent] | None = None) -> Opened:
    """Documents or conversations, a row each, or packed. Raises ContractBroken; `keep` is given each split's content."""
    tables = open_source(dataset)
    if isinstance(tables, Opened):
        raise refuse_pictures(tables, TASK.value)
    contents = _contents(tables, dataset, encoder)
    if keep is not None:
        keep.update(contents)
    packing = bool(dataset.packing)
    splits = {split: (tables.splits[split], content) for split, content in contents.items()}
    return Opened(tables.name, token_names(encoder.tokenizer), None, source_splits(splits, packing=packing))


def _contents(tables: Tables, dataset: Dataset, encoder: TextEncoder) -> dict[str, LanguageContent]:
    chat, columns = dataset.columns.messages, dataset.columns
    name, column = ("messages", chat) if chat else ("text", columns.text)
    tables.require({name: column})
    documents = ChatEncoder(encoder.tokenizer) if chat else DocumentEncoder(encoder.tokenizer)
    return {
        split: LanguageContent(
            partial(table.cell, column),
            table.length,
            documents,
            f"dataset.columns.{name} ({column}) of split {split!r}",
            encoder.max_tokens,
            packing=bool(dataset.packing),
            words=partial(_readable, encoder.tokenizer),
        )
        for split, table in tables.splits.items()
    }


def _readable(tokenizer: Any, token: int) -> str:
    """A token as text; those that are no whole text by themselves by the tokenizer's own name."""
    return str(tokenizer.decode([token])).strip() or str(tokenizer.convert_ids_to_tokens(token))


def _says(contents: dict[str, LanguageContent]) -> Iterator[str]:
    return (f"{split}: {content.says()}" for split, content in contents.items())
