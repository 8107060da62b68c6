"""The rollout's state as text: the annotation `distillation.dev/rollout` of the HTTPRoute.

Small, since annotations are copied into every event and backup: below one KiB, the oldest endings going first.
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
ENDING_MESSAGE = 240


def encode(state: State) -> str:
    """JSON of at most `LIMIT` bytes."""
    while True:
        text = json.dumps(_document(state), separators=(",", ":"))
        if len(text) <= LIMIT or not state.endings:
            return text
        state = replace(state, endings=state.endings[1:])


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
            endings=tuple(_ending(item) for item in document.get("endings", [])),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _document(state: State) -> dict[str, Any]:
    document = {
        "stable": state.stable,
        "canary": state.canary,
        "phase": state.phase.value,
        "step": state.step if state.canary else None,
        "since": to_text(state.since) if state.since else None,
        "changed": to_text(state.changed) if state.changed else None,
        "losses": state.losses or None,
        "endings": [[end.uid, end.phase.value, _cut(end.message)] for end in state.endings] or None,
    }
    return {key: value for key, value in document.items() if value is not None}


def _ending(item: list[str]) -> Ending:
    uid, phase, message = item
    return Ending(str(uid), RolloutPhase(phase), str(message))


def _time(text: str | None) -> datetime | None:
    return from_text(text) if text else None


def _cut(message: str) -> str:
    return message if len(message) <= ENDING_MESSAGE else message[: ENDING_MESSAGE - 1] + "…"
