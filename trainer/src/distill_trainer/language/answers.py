"""Where the assistant's answers stand in a rendered conversation, for templates that do not mark them. Pure.

Found by rendering beginnings of the conversation and comparing them, never by looking for words of a template: an
answer goes from where the text first depends on what it says to the end of its turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

Message = Mapping[str, str]
Render = Callable[[Sequence[Message], bool], str]
"""Messages, and whether the header of an answer to come is written too → text. Raises where a template refuses them."""
ASSISTANT = "assistant"
_OTHER = ("\u2042", "\u2766")
"""Stand in for an answer to see where the text changes: one of them begins with another sign than any answer does."""


class NotCertain(Exception):  # noqa: N818
    """The answers cannot be told from the rest; the text is the reason."""


def answer_spans(messages: Sequence[Message], render: Render) -> list[tuple[int, int]]:
    """[start, end) of each answer in `render(messages)`, its end-of-turn mark within and its header not.

    Raises NotCertain where the template writes a beginning of the conversation otherwise than the whole.
    """
    whole = render(messages, False)
    spans = []
    for place, message in enumerate(messages):
        if message["role"] != ASSISTANT:
            continue
        through = render(messages[: place + 1], False)
        if not whole.startswith(through):
            raise NotCertain(
                f"it writes message {place} otherwise once further messages follow, so that what is trained is not what "
                "is seen later"
            )
        start = _start(messages[:place], message, through, render)
        if not through[start:].lstrip().startswith(message["content"].strip()):
            raise NotCertain(f"message {place} is not written as it stands in the data")
        spans.append((start, len(through.rstrip())))
    return spans


def _start(before: Sequence[Message], message: Message, through: str, render: Render) -> int:
    """The header that asks for an answer where the template has one, else where the text depends on the answer."""
    if before:
        plain, asked = render(before, False), render(before, True)
        if asked != plain and through.startswith(asked):
            return len(asked)
    other = next(sign for sign in _OTHER if not message["content"].strip().startswith(sign))
    changed = render([*before, {**message, "content": other}], False)
    return next(
        place for place, signs in enumerate(zip(through, changed, strict=False)) if signs[0] != signs[1]
    )
