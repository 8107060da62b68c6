"""Conversations: rendered by the tokenizer's chat template, trained on the assistant's answers alone.

Templates that mark answers (`{% generation %}`) are believed; for others answers are found by `answers`. Tokens come
from the template itself in one call, so that a start token which it writes is not added a second time.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from distill_trainer.errors import ContractBroken
from distill_trainer.language.answers import Message, NotCertain, answer_spans
from distill_trainer.language.encoded import Encoded, Refused
from distill_trainer.text import behaviour

_MARKED = re.compile(r"\{%-?\s*generation\s*-?%\}")
_REMEDY = "use a template with {% generation %} around answers, or write the conversations as text"


class ChatEncoder:
    """A list of messages, each with role and content, becomes one document."""

    def __init__(self, tokenizer: Any) -> None:
        """Raises ContractBroken: ChatTemplateMissing, TokenizerTooSlow."""
        if not tokenizer.chat_template:
            raise ContractBroken(
                "ChatTemplateMissing",
                "dataset.columns.messages is set, and the tokenizer has no chat_template to write conversations with: take "
                "a model made for chat, or name a column of text in dataset.columns.text",
            )
        self._tokenizer = tokenizer
        self._template = str(tokenizer.get_chat_template())
        self._marked = bool(_MARKED.search(self._template))
        if not self._marked and not tokenizer.is_fast:
            raise ContractBroken(
                "TokenizerTooSlow",
                "dataset.columns.messages needs a tokenizer that says where its tokens stand in the text (tokenizer.json): "
                f"this one does not; {_REMEDY}",
            )

    def encode(self, cells: Sequence[Any]) -> list[Encoded]:
        """See Encoder."""
        return [self._conversation(self._messages(cell)) for cell in cells]

    def digest(self) -> str:
        """See Encoder."""
        parts = f"chat\0{behaviour(self._tokenizer)}\0{self._template}"
        return hashlib.sha256(parts.encode()).hexdigest()

    def _messages(self, cell: Any) -> list[Message]:
        """Role and content of each. What else a message holds is refused where the template would write it."""
        if not isinstance(cell, list) or not cell:
            raise Refused(f"holds {type(cell).__name__}, not a list of messages; each has role and content")
        for place, message in enumerate(cell):
            known = isinstance(message, dict) and all(
                isinstance(message.get(key), str) for key in ("role", "content")
            )
            if not known:
                raise Refused(f"has no text for role and content in message {place}; give it both")
            more = next((key for key, value in message.items() if value and self._writes(key)), None)
            if more:
                raise Refused(
                    f"has {more} in message {place}, which the chat template writes and which is not read: the conversation "
                    "would be another; leave it out, or write the conversations as text"
                )
        return [{"role": message["role"], "content": message["content"]} for message in cell]

    def _writes(self, key: str) -> bool:
        """Whether the template looks for a key of messages that is not read, as in `message.tool_calls`."""
        looked_for = rf"(\.|\[['\"]){re.escape(key)}\b|['\"]{re.escape(key)}['\"]\s+in\b"
        return key not in {"role", "content"} and bool(re.search(looked_for, self._template))

    def _conversation(self, messages: Sequence[Message]) -> Encoded:
        try:
            ids, trained = self._marked_answers(messages) if self._marked else self._found_answers(messages)
        except NotCertain as fault:
            raise Refused(
                f"is a conversation whose answers cannot be found for certain: {fault}; {_REMEDY}"
            ) from None
        except Exception as fault:  # templates raise errors of Jinja's own
            raise Refused(f"is a conversation that the chat template does not take: {fault}") from fault
        return Encoded(ids, [False, *trained[1:]])

    def _marked_answers(self, messages: Sequence[Message]) -> tuple[list[int], list[bool]]:
        found = self._tokens(messages, return_assistant_tokens_mask=True)
        return list(found["input_ids"]), [bool(counts) for counts in found["assistant_masks"]]

    def _found_answers(self, messages: Sequence[Message]) -> tuple[list[int], list[bool]]:
        spans = answer_spans(messages, self._render)
        found = self._tokens(messages, tokenizer_kwargs={"return_offsets_mapping": True})
        trained = [
            any(first < end and last > start for start, end in spans) and last > first
            for first, last in found["offset_mapping"]
        ]
        return list(found["input_ids"]), trained

    def _tokens(self, messages: Sequence[Message], **settings: Any) -> Any:
        return self._tokenizer.apply_chat_template(
            list(messages), tokenize=True, return_dict=True, **settings
        )

    def _render(self, messages: Sequence[Message], asked: bool) -> str:  # noqa: FBT001
        text = self._tokenizer.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=asked
        )
        return str(text)
