"""Sentences that are words already, as tokens: which token each word begins with. Called by the task of tags and its server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from distill_trainer.batch import Inputs
from distill_trainer.errors import ContractBroken
from distill_trainer.text import TextEncoder


@dataclass(frozen=True)
class Placed:
    """Tokens of B sentences. `words` int64 [B, L] is the word whose first token stands there, −1 everywhere else.

    A word that the cut leaves out, or that the tokenizer makes nothing of, stands nowhere.
    """

    inputs: Inputs
    words: Tensor

    @property
    def mask(self) -> Tensor:
        """Bool [B, L], true on the first token of each word."""
        return self.words >= 0


@dataclass(frozen=True)
class WordEncoder:
    """A tokenizer that is given words."""

    text: TextEncoder

    def encode(self, sentences: Sequence[Sequence[str]]) -> Placed:
        """Padded to the longest sentence, cut at the encoder's length."""
        found = self.text.tokenizer(
            [list(words) for words in sentences],
            is_split_into_words=True,
            truncation=True,
            max_length=self.text.max_tokens,
            padding=True,
            padding_side="right",
            return_tensors="pt",
        )
        words = torch.tensor([_first_tokens(found.word_ids(row)) for row in range(len(sentences))])
        return Placed(dict(found), words)

    def digest(self) -> str:
        """Of everything that decides the tokens."""
        return self.text.digest()


def word_encoder(text: TextEncoder) -> WordEncoder:
    """Raises ContractBroken (TokenizerUnsuitable) where the tokenizer does not say which token is of which word."""
    encoder = WordEncoder(text)
    try:
        encoder.encode([["a"]])
    except (AssertionError, TypeError, ValueError) as error:
        raise ContractBroken(
            "TokenizerUnsuitable",
            f"the tokenizer cannot be given words ({str(error).splitlines()[0]}), and task TokenClassification asks for a "
            "label of each: use a model with a fast tokenizer (tokenizer.json), made with add_prefix_space where it has that",
        ) from error
    return encoder


def _first_tokens(word_of: Sequence[int | None]) -> list[int]:
    """The word of each token [L] → the same, with −1 on tokens that go on with a word or belong to none."""
    before: list[int | None] = [None, *word_of[:-1]]
    return [
        word if word is not None and word != last else -1 for word, last in zip(word_of, before, strict=True)
    ]
