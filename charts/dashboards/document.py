"""From the SDK's objects to the JSON that Grafana loads, with what the SDK leaves out; called by `__main__`.

The SDK gives every query an empty refId (Grafana then shows only one of them), every panel the id 0 and variables a
zero id; here they get theirs.
"""

from __future__ import annotations

import json
import string
from typing import Any

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder


def document(dashboard: Dashboard) -> str:
    """The dashboard as JSON text, the same for the same code."""
    plain: dict[str, Any] = json.loads(JSONEncoder().encode(dashboard.build()))
    plain["editable"] = False
    for number, panel in enumerate(plain["panels"], start=1):
        panel["id"] = number
        for letter, target in zip(string.ascii_uppercase, panel.get("targets", []), strict=False):
            target["refId"] = letter
    for variable in plain["templating"]["list"]:
        for unused in ("id", "auto", "auto_min", "auto_count"):
            variable.pop(unused, None)
    return json.dumps(_without_null(plain), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_null(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_null(item) for item in value]
    return value
