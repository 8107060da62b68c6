"""The termination message: one JSON document that always fits into the kubelet's 4096 bytes."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from distill_api.contract import TERMINATION_LOG, TERMINATION_MESSAGE_BYTES, Outcome

_MESSAGE_CHARACTERS = 1500
_REASON_CHARACTERS = 64
log = logging.getLogger(__name__)


def outcome(reason: str, message: str) -> Outcome:
    """An outcome without a result; both texts cut to what the contract allows."""
    return Outcome(reason=reason[:_REASON_CHARACTERS], message=cut(message, _MESSAGE_CHARACTERS))


def encode(out: Outcome) -> bytes:
    """UTF-8 JSON of fewer than 4096 bytes. What does not fit is taken from the message's end, then from the result."""
    for characters in (_MESSAGE_CHARACTERS, 800, 400, 200, 80, 0):
        document = out.model_copy(update={"message": cut(out.message, characters)})
        raw = _bytes(document)
        if len(raw) < TERMINATION_MESSAGE_BYTES:
            return raw
    return _bytes(out.model_copy(update={"message": cut(out.message, 200), "result": None}))


def write(out: Outcome) -> None:
    """Write to the termination log, where there is one; on a laptop there is none."""
    path = Path(os.environ.get("DISTILL_TERMINATION_LOG", TERMINATION_LOG))
    given = "DISTILL_TERMINATION_LOG" in os.environ
    if not path.exists() and not (given and path.parent.is_dir()):
        log.info("no termination log at %s: the outcome is in this log alone", path)
        return
    try:
        path.write_bytes(encode(out))
    except OSError as error:
        log.warning("the termination log %s cannot be written: %s", path, error.strerror)


def cut(text: str, characters: int) -> str:
    """`text` with an ellipsis where it is too long; characters that no JSON reader takes are replaced."""
    clean = text.encode("utf-8", "replace").decode()
    return clean if len(clean) <= characters else clean[: max(characters - 1, 0)] + "…"


def _bytes(out: Outcome) -> bytes:
    return json.dumps(out.wire(), ensure_ascii=False, separators=(",", ":")).encode()
