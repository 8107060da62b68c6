"""A vector of length 1 for each text, near the vectors of texts that mean the same. Texts need no labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
from distill_trainer.data.tables import row_ids
from distill_trainer.data.texts import refuse_pictures, text_splits
from distill_trainer.errors import ContractBroken
from distill_trainer.judging import SimilarityJudge
from distill_trainer.losses import Combined, TermPlan, embedding_objective
from distill_trainer.models import Signature
from distill_trainer.models.sentence import write_length
from distill_trainer.pairwise import MOST
from distill_trainer.tasks.kit import Sources
from distill_trainer.tasks.text_classification import EVALUATION_BATCH, token_example
from distill_trainer.text import TextEncoder, shared_encoder

TASK = Task.EMBEDDING
FEWEST = 3
"""Samples of which similarities can be put in an order that says something: three pairs."""


class Embedding:
    """Texts → embeddings [B, D], ‖·‖₂ = 1."""

    pipeline = "feature-extraction"
    hub_task = "sentence-similarity"
    library = "sentence-transformers"
    usage = "from sentence_transformers import SentenceTransformer\n\nembeddings = SentenceTransformer(FOLDER).encode(texts)"
    rows_are = "samples"
    agreeing = "find the same other text nearest"
    classes_have_names = False
    fuses = False
    judge = SimilarityJudge()

    def describe(self, config: TrainerConfig, sources: Sources) -> Description:
        """See TaskKit. Raises ContractBroken (TooFewSamples) where there is nothing to correlate."""
        found = data.describe(config.dataset, seed=config.training.seed, opener=_opener(config, sources))
        for split in ("validation", "test"):
            if 0 < found.sizes[split] < FEWEST:
                raise ContractBroken(
                    "TooFewSamples",
                    f"the {split} split of dataset {found.name!r} has {found.sizes[split]} texts, and their similarities "
                    f"are compared: give it {FEWEST} or more",
                )
        return replace(found, says=(*found.says, *_says(found.sizes["test"])))

    def load(self, config: TrainerConfig, sources: Sources) -> DataSet:
        """See TaskKit."""
        return data.load(config.dataset, seed=config.training.seed, opener=_opener(config, sources))

    def signature(self, data: Description) -> Signature:  # noqa: ARG002
        """See TaskKit."""
        return Signature(TASK, 0)

    def samples_are(self, data: Description) -> str:  # noqa: ARG002
        """See TaskKit."""
        return "text"

    def described(self, signature: Signature) -> str:  # noqa: ARG002
        """See TaskKit."""
        return "embeddings"

    def warnings(self, config: TrainerConfig, sources: Sources, signature: Signature) -> Iterable[str]:  # noqa: ARG002
        """None beside those of every task."""
        return ()

    def objective(self, objective: Objective, plans: Sequence[TermPlan]) -> Combined:  # noqa: ARG002
        """Σ wᵢ·Lᵢ; a row of the losses is a text, KLDivergence compares its similarities with the others of the batch."""
        return embedding_objective(plans)

    def example(self, signature: Signature, batch: int, device: torch.device) -> Inputs:  # noqa: ARG002
        """Texts of 16 tokens."""
        return token_example(batch, device)

    def fits(self, logits: Tensor, signature: Signature, batch: int) -> bool:  # noqa: ARG002
        """See TaskKit."""
        return logits.dim() == 2 and len(logits) == batch

    def evaluation_batch(self, training: Training) -> int:  # noqa: ARG002
        """See TaskKit."""
        return EVALUATION_BATCH

    def write(self, folder: Path, config: TrainerConfig, sources: Sources) -> None:
        """The tokenizer, and where texts are cut as Sentence Transformers reads it."""
        encoder = _encoder(config, sources)
        encoder.tokenizer.save_pretrained(folder)
        write_length(folder, encoder.max_tokens)

    def reads(self, config: TrainerConfig, sources: Sources, data: Description | DataSet) -> dict[str, Any]:  # noqa: ARG002
        """Where texts are cut."""
        return {"maxTokens": _encoder(config, sources).max_tokens}


def _encoder(config: TrainerConfig, sources: Sources) -> TextEncoder:
    """Texts are cut where the teacher's folder says that it cuts them, unless the job says another length."""
    found = shared_encoder(config.dataset, sources.teacher, sources.student)
    if config.dataset.max_tokens is not None:
        return found
    return replace(found, max_tokens=min(found.max_tokens, found.tokenizer.model_max_length))


def _opener(config: TrainerConfig, sources: Sources) -> data.Opener:
    return partial(_opened, encoder=_encoder(config, sources))


def _opened(dataset: Dataset, encoder: TextEncoder) -> Opened:
    """A text each row. Raises ContractBroken."""
    tables = open_source(dataset)
    if isinstance(tables, Opened):
        raise refuse_pictures(tables, TASK.value)
    column = dataset.columns.text
    tables.require({"text": column})
    none = {split: torch.zeros(table.length, dtype=torch.int64) for split, table in tables.splits.items()}
    splits = text_splits(tables, column, none, lambda split: row_ids(split, tables.splits[split]), encoder)
    return Opened(tables.name, (), None, splits)


def _says(test: int) -> tuple[str, ...]:
    if test <= MOST:
        return ()
    return (f"test: {MOST:,} of the {test:,} texts, evenly spread, are compared pair by pair",)
