"""Texts as tokens: the tokenizer that teacher and student share, and how it is used. Called by the tasks of text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from distill_api.dataset import Dataset
from distill_trainer.batch import Samples
from distill_trainer.errors import ContractBroken
from distill_trainer.models import ModelSource

DEFAULT_MAX_TOKENS = 512


@dataclass(frozen=True)
class TextEncoder:
    """A tokenizer and the length it cuts at. `cut` counts nothing: what was cut is told by the contract check."""

    tokenizer: Any
    max_tokens: int

    def encode(self, texts: Sequence[str]) -> Samples:
        """`input_ids`, `attention_mask` … int64 [B, L], padded to the longest text at most `max_tokens` long."""
        found = self.tokenizer(
            list(texts),
            truncation=True,
            max_length=self.max_tokens,
            padding=True,
            padding_side="right",  # positions begin with the text, however long others of the batch are
            return_tensors="pt",
        )
        return Samples(dict(found))

    def digest(self) -> str:
        """Of the tokenizer's whole behaviour and the length."""
        return hashlib.sha256(f"{behaviour(self.tokenizer)}\0{self.max_tokens}".encode()).hexdigest()


def shared_encoder(dataset: Dataset, teacher: ModelSource, student: ModelSource) -> TextEncoder:
    """The tokenizer of both models; a student without one takes its teacher's.

    Raises ContractBroken: TokenizerMissing, TokenizerMismatch, VocabularyMismatch, InputTooLong.
    """
    tokenizer = teacher.tokenizer()
    if tokenizer is None:
        raise ContractBroken(
            "TokenizerMissing",
            f"teacher {teacher.name} has no tokenizer beside its weights: put the files that tokenizer.save_pretrained "
            "writes into its folder",
        )
    own = student.tokenizer()
    if own is not None:
        _refuse_another(tokenizer, own, teacher.name, student.name)
    _refuse_unknown_tokens(tokenizer, teacher=teacher, student=student)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    return TextEncoder(tokenizer, _max_tokens(dataset, teacher, student))


def behaviour(tokenizer: Any) -> str:
    """Everything that decides which tokens a text becomes, as text; padding and truncation are chosen at each call."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return json.dumps(sorted(tokenizer.get_vocab().items()))
    parts = json.loads(backend.to_str())
    return json.dumps({**parts, "padding": None, "truncation": None}, sort_keys=True)


def _refuse_another(teacher: Any, student: Any, teacher_name: str, student_name: str) -> None:
    if behaviour(teacher) == behaviour(student):
        return
    mine, theirs = student.get_vocab(), teacher.get_vocab()
    if mine == theirs:
        why = "the same vocabulary, but they cut texts differently"
    else:
        differ = [token for token, place in theirs.items() if mine.get(token) != place]
        why = f"vocabularies of {len(theirs)} and {len(mine)} tokens" + (
            f", {differ[0]!r} is {theirs[differ[0]]} in one and {mine.get(differ[0], 'nothing')} in the other"
            if differ
            else ""
        )
    raise ContractBroken(
        "TokenizerMismatch",
        f"teacher {teacher_name} and student {student_name} have different tokenizers ({why}): their tokens cannot be "
        "compared; name a student of the teacher's family, or one without a tokenizer, which takes the teacher's",
    )


def vocabulary_size(tokenizer: Any) -> int:
    """One more than the greatest id: what a model's table of tokens must have rows for."""
    return 1 + max(map(int, tokenizer.get_vocab().values()))


def token_names(tokenizer: Any) -> tuple[str, ...]:
    """Every token as the tokenizer writes it, by id; ids without a token have their number."""
    names = [f"<{place}>" for place in range(vocabulary_size(tokenizer))]
    for name, place in tokenizer.get_vocab().items():
        names[place] = name
    return tuple(names)


def _refuse_unknown_tokens(tokenizer: Any, **sources: ModelSource) -> None:
    """A table may have more rows than there are tokens, never fewer."""
    size = vocabulary_size(tokenizer)
    for field, source in sources.items():
        rows = source.vocabulary()
        if rows is not None and rows < size:
            last = tokenizer.convert_ids_to_tokens(size - 1)
            raise ContractBroken(
                "VocabularyMismatch",
                f"{field} {source.name} knows {rows} tokens and the tokenizer has {size}, the last of them {last!r}: its "
                f"texts would hold tokens beyond the vocabulary; name a {field} of at least {size} (vocab_size in its "
                "config.json)",
            )


def _max_tokens(dataset: Dataset, teacher: ModelSource, student: ModelSource) -> int:
    bounds = {
        f"{field} {source.name}": bound
        for field, source in (("teacher", teacher), ("student", student))
        if (bound := source.longest_input()) is not None
    }
    asked = dataset.max_tokens
    for name, bound in bounds.items():
        if asked is not None and asked > bound:
            raise ContractBroken(
                "InputTooLong",
                f"dataset.maxTokens is {asked}, and {name} takes at most {bound}; set it to {bound} or less",
            )
    return asked or min([DEFAULT_MAX_TOKENS, *bounds.values()])
