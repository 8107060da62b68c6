"""The CEL of the CRD (https://kubernetes.io/docs/reference/using-api/cel/), written by `distill_api.schema`.

Each function returns one entry of `x-kubernetes-validations`, or the text of a rule.
"""

from __future__ import annotations

import json
from typing import Any

from distill_api.base import Rule, exactly_one_message

BOUND_WORDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "pattern", "minLength")
"""What a field's own sentence replaces. maxLength stays: the cost of a rule is estimated from it."""
_COMPARISONS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


def validation(rule: Rule) -> dict[str, Any]:
    """A model's own rule."""
    entry = {"rule": rule.rule, "message": rule.message}
    return entry | ({"fieldPath": f".{rule.field}"} if rule.field else {})


def exactly_one(names: list[str]) -> dict[str, Any]:
    """Exactly one of the optional fields `names` is set; the message says which are."""
    count = " + ".join(f"(has(self.{name}) ? 1 : 0)" for name in names)
    # Joining a list would cost more than the API server's budget allows; adding texts costs next to nothing.
    given = " + ".join(f'(has(self.{name}) ? " {name}" : "")' for name in names)
    none_set = exactly_one_message(names, [])
    head = none_set.removesuffix(" none")
    return {
        "rule": f"{count} == 1",
        "message": none_set.partition(";")[0],
        "messageExpression": f'{count} == 0 ? "{none_set}" : "{head}" + {given}',
    }


def frozen(path: str) -> dict[str, Any]:
    """A field that is always there keeps the value it was created with."""
    return {"rule": "self == oldSelf", "message": _frozen_message(path)}


def frozen_optional(path: str, name: str) -> dict[str, Any]:
    """The same for a field that may be absent: rules of an absent field do not run, so the parent holds it."""
    rule = f"has(self.{name}) == has(oldSelf.{name}) && (!has(self.{name}) || self.{name} == oldSelf.{name})"
    return {"rule": rule, "message": _frozen_message(f"{path}.{name}"), "fieldPath": f".{name}"}


def bounds(node: dict[str, Any]) -> list[str]:
    """The ranges, the pattern and the least length of a field as CEL over `self`."""
    number = float if node.get("type") == "number" else int
    parts = [f"self {sign} {number(node[word])!r}" for word, sign in _COMPARISONS.items() if word in node]
    # An int-or-string is dynamic in CEL: whole numbers need no pattern.
    text = "string(self)" if node.get("x-int-or-string") else "self"
    if "minLength" in node:
        parts.append(f"size({text}) >= {node['minLength']}")
    if "pattern" in node:
        parts.append(f"{text}.matches({json.dumps(node['pattern'])})")
    return parts


def _frozen_message(path: str) -> str:
    return f"{path} cannot change once the job exists: make a new DistillationJob"
