"""YAML as kubectl reads it, with the line that every field stands on. Used by `read`.

PyYAML speaks YAML 1.1 and is too kind in two places: of a key that is given twice it takes the last, where kubectl
refuses; and `1e-3` is text to it, where Kubernetes reads a number. Both are put right here. Dates and `1:30` stay text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

Path = tuple[int | str, ...]
"""Where a field lies: `("spec", "objective", "terms", 0, "type")`."""

_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_MERGE = "tag:yaml.org,2002:merge"
_STR = "tag:yaml.org,2002:str"
_SIXTIES = re.compile(r"^[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?$")
_DEEPEST, _MOST_FIELDS = 100, 100_000
"""What no job comes near: lists in lists, and what aliases of aliases can stand for."""
_NUMBER = re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$")


class NotYamlError(Exception):
    """The text is no YAML that kubectl would take; `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


@dataclass(frozen=True)
class Document:
    """One document of a file; `places` says where each field stands (`job.yaml:12`)."""

    value: Any
    places: Mapping[Path, str]

    def place(self, path: Path) -> str:
        """Where `path` stands, or the nearest that is around it where it is missing."""
        for length in range(len(path), -1, -1):
            found = self.places.get(path[:length])
            if found is not None:
                return found
        return ""


class _Loader(yaml.SafeLoader):
    """SafeLoader without dates and numbers to the base of 60 (1:30), and with numbers such as 1e-3."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _first in "-+0123456789":
    _Loader.yaml_implicit_resolvers[_first].insert(0, (_STR, _SIXTIES))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+.0123456789"))


def read_documents(text: str, name: str) -> list[Document]:
    """Every document of a file; empty ones are left out. Raises NotYamlError."""
    loader = _Loader(text)
    documents = []
    try:
        while loader.check_node():
            node = loader.get_node()
            assert node is not None  # noqa: S101 - check_node said so; for the type checker
            places = _places(node, name)
            value = loader.construct_document(node)  # after the lines: it dissolves merged keys
            if value is not None:
                documents.append(Document(value, places))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        told = f"no YAML: {error.problem or error.context}"
        raise NotYamlError(mark.line + 1 if mark else 1, told) from error
    except RecursionError as error:
        raise NotYamlError(1, f"nested more than {_DEEPEST} deep") from error
    except (yaml.YAMLError, ValueError) as error:
        raise NotYamlError(1, f"no YAML: {str(error).splitlines()[0]}") from error
    finally:
        loader.dispose()
    return documents


def read_value(text: str) -> Any:
    """One value, as on the right of a colon. Raises NotYamlError."""
    documents = read_documents(text, "")
    return documents[0].value if documents else None


def _places(node: yaml.Node, name: str) -> dict[Path, str]:
    found: dict[Path, str] = {}
    for path, line in _lines(node, ()):
        found[path] = f"{name}:{line}"
        if len(found) > _MOST_FIELDS:
            raise NotYamlError(line, f"aliases make more than {_MOST_FIELDS:,} fields of it")
    return found


def _lines(node: yaml.Node, path: Path, inside: tuple[int, ...] = ()) -> Iterator[tuple[Path, int]]:
    """Path and line of a node and all below it. Raises NotYamlError for keys given twice and for loops of aliases."""
    line = node.start_mark.line + 1
    if id(node) in inside:
        raise NotYamlError(line, "an alias that contains itself")
    if len(path) > _DEEPEST:
        raise NotYamlError(line, f"nested more than {_DEEPEST} deep")
    yield path, line
    inside = (*inside, id(node))
    if isinstance(node, yaml.SequenceNode):
        for index, entry in enumerate(node.value):
            yield from _lines(entry, (*path, index), inside)
    if isinstance(node, yaml.MappingNode):
        yield from _lines_of_mapping(node, path, inside)


def _lines_of_mapping(
    node: yaml.MappingNode, path: Path, inside: tuple[int, ...]
) -> Iterator[tuple[Path, int]]:
    seen: dict[str, int] = {}
    for key, value in sorted(
        node.value, key=lambda pair: pair[0].tag != _MERGE
    ):  # what is merged comes first
        line = key.start_mark.line + 1
        name = str(key.value)
        if key.tag == _MERGE:
            yield from ((place, at) for place, at in _lines(value, path, inside) if place != path)
            continue
        if name in seen:
            raise NotYamlError(
                line, f'"{name}" is given a second time; the first stands in line {seen[name]}'
            )
        seen[name] = line
        yield from _lines(value, (*path, name), inside)
        yield (*path, name), line
