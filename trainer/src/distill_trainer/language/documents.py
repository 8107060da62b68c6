"""Plain texts: each ends with the end-of-sequence token, which is trained like any other, so that models learn to stop."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from distill_trainer.errors import ContractBroken
from distill_trainer.language.encoded import Encoded, Refused
from distill_trainer.text import behaviour


class DocumentEncoder:
    """A start token where the tokenizer adds one, the text, and the end-of-sequence token once."""

    def __init__(self, tokenizer: Any) -> None:
        """Raises ContractBroken (EndTokenMissing)."""
        if tokenizer.eos_token_id is None:
            raise ContractBroken(
                "EndTokenMissing",
                "the tokenizer has no eos_token, so that no document could end: set eos_token in its tokenizer_config.json",
            )
        self._tokenizer = tokenizer

    def encode(self, cells: Sequence[Any]) -> list[Encoded]:
        """See Encoder."""
        texts = [_text(cell) for cell in cells]
        return [self._ended(ids) for ids in self._tokenizer(texts).input_ids]

    def digest(self) -> str:
        """See Encoder."""
        parts = f"documents\0{behaviour(self._tokenizer)}\0{self._tokenizer.eos_token_id}"
        return hashlib.sha256(parts.encode()).hexdigest()

    def _ended(self, ids: list[int]) -> Encoded:
        end = self._tokenizer.eos_token_id
        whole = ids if ids and ids[-1] == end else [*ids, end]
        return Encoded(whole, [False, *[True] * (len(whole) - 1)])


def _text(cell: Any) -> str:
    if not isinstance(cell, str):
        raise Refused(f"holds {type(cell).__name__}, not text; name the column of the text")
    if not cell.strip():
        raise Refused("is empty: there is nothing to learn from; leave such rows out")
    return cell
