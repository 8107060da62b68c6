"""The rollout's state as text: the annotation `distillation.dev/rollout` of the HTTPRoute.

Small, since annotations are copied into every event and backup: below one KiB. Where it would be more, the endings'
sentences are cut first; that a job's rollout has ended is forgotten last.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import Any

from distill_api.status import RolloutPhase
from distill_operator.rollout.model import Ending, State
from distill_operator.rollout.times import from_text, to_text

LIMIT = 1023
MESSAGE_LIMITS = (240, 120, 40, 0)
"""Longest sentence of an ending, tried one after the other."""


def encode(state: State) -> str:
    """JSON of at most `LIMIT` bytes."""
    texts = (json.dumps(_document(state, limit), separators=(",", ":")) for limit in MESSAGE_LIMITS)
    for text in texts:
        if len(text) <= LIMIT:
            return text
    return encode(replace(state, endings=state.endings[1:]))


def decode(text: str | None) -> State | None:
    """The state, or None where the text is none of ours."""
    try:
        document = json.loads(text or "")
        return State(
            stable=document.get("stable"),
            canary=document.get("canary"),
            phase=RolloutPhase(document["phase"]),
            step=int(document.get("step", 0)),
            since=_time(document.get("since")),
            changed=_time(document.get("changed")),
            losses=int(document.get("losses", 0)),
            refused=str(document.get("refused", "")),
            endings=tuple(_ending(item) for item in document.get("endings", [])),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _document(state: State, limit: int) -> dict[str, Any]:
    document = {
        "stable": state.stable,
        "canary": state.canary,
        "phase": state.phase.value,
        "step": state.step if state.canary else None,
        "since": to_text(state.since) if state.since else None,
        "changed": to_text(state.changed) if state.changed else None,
        "losses": state.losses or None,
        "refused": _cut(state.refused, limit) or None,
        "endings": [[end.uid, end.phase.value, _cut(end.message, limit)] for end in state.endings] or None,
    }
    return {key: value for key, value in document.items() if value is not None}


def _ending(item: list[str]) -> Ending:
    uid, phase, message = item
    return Ending(str(uid), RolloutPhase(phase), str(message))


def _time(text: str | None) -> datetime | None:
    return from_text(text) if text else None


def _cut(message: str, limit: int) -> str:
    return message if len(message) <= limit else message[: max(0, limit - 1)] + "…"
