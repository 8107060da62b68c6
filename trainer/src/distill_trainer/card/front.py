"""Front matter as people write it: YAML in blocks, with every text quoted as JSON does, so that none is read as something else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any


def front(document: Mapping[str, Any]) -> str:
    """A mapping of texts, numbers, lists and mappings, none of them empty."""
    return "".join(f"{line}\n" for line in _mapping(document))


def _mapping(document: Mapping[str, Any]) -> Iterator[str]:
    for key, value in document.items():
        if isinstance(value, Mapping | list):
            yield f"{key}:"
            yield from (f"  {line}" for line in _lines(value))
        else:
            yield f"{key}: {_scalar(value)}"


def _lines(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from _mapping(value)
        return
    for each in value:
        first, *more = _lines(each) if isinstance(each, Mapping | list) else [_scalar(each)]
        yield f"- {first}"
        yield from (f"  {line}" for line in more)


def _scalar(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
