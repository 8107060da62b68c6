"""Reads trainer.json. What is wrong with it is said in one sentence with the field, its value and the remedy."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from distill_api.contract import TrainerConfig
from distill_trainer.errors import ConfigInvalid


def read_config(path: Path) -> TrainerConfig:
    """The config of a run. Raises ConfigInvalid."""
    document = _document(path)
    try:
        return TrainerConfig.model_validate(document)
    except ValidationError as error:
        raise ConfigInvalid(_sentence(error, path)) from error


def _document(path: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigInvalid(
            f"--config {path} cannot be read: {error.strerror}; name the trainer.json to use"
        ) from error
    except ValueError as error:
        raise ConfigInvalid(
            f"{path} is no JSON: {error}; write it with json.dump or let the operator write it"
        ) from error
    if not isinstance(document, dict):
        raise ConfigInvalid(
            f"{path} holds a {type(document).__name__}: it must be an object with task, teacher, student …"
        )
    return document


def _sentence(error: ValidationError, path: Path) -> str:
    faults = error.errors(include_url=False)
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{path.name}: {_fault(faults[0])}{more}"


def _fault(fault: ErrorDetails) -> str:
    field = _path(fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"{field} is no field{_near(str(fault['loc'][-1]))}; remove it"
    if fault["type"] == "missing":
        return f"{field} is missing: set it"
    message = fault["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    given = fault["input"]
    name, colon, rest = message.partition(": ")
    if isinstance(given, dict) and colon and all(part.isidentifier() for part in name.split(".")):
        return f"{field}.{name} {rest}"  # a rule over several fields names the one at fault itself
    return f"{field}: {message}" if isinstance(given, dict) else f"{field} is {_short(given)}: {message}"


def _path(location: tuple[int | str, ...]) -> str:
    """As people write it: `a.b` for fields, `a[0]` for entries of lists."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".") or "the config"


def _near(name: str) -> str:
    known = {alias for model in _models() for alias in model}
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _models() -> list[list[str]]:
    schema = TrainerConfig.model_json_schema(by_alias=True)
    parts = [schema, *schema.get("$defs", {}).values()]
    return [list(part.get("properties", {})) for part in parts]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:77] + "…"
