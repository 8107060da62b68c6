"""docs/api.md: one table per object, from the same schema that the API server holds. Called by `distill_api.crd`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from distill_api import GROUP, KIND, VERSION

INTRODUCTION = f"""\
<!-- Written by `python -m distill_api` from crds/src/distill_api; edit the models, not this file. -->
# The API: {KIND}

`{GROUP}/{VERSION}`, namespaced, short name `dj`. The same text is in the cluster: `kubectl explain distillationjob.spec.objective`.

A job needs `task`, `teacher`, `student`, `dataset` and `output`; all else has a default.

```yaml
apiVersion: {GROUP}/{VERSION}
kind: {KIND}
metadata:
  name: digits
spec:
  task: ImageClassification
  teacher: {{builtin: {{name: convnet-large}}, weights: {{uri: pvc://models/digits-teacher.safetensors}}}}
  student: {{builtin: {{name: convnet-small}}}}
  dataset: {{builtin: {{name: digits}}}}
  output: {{uri: pvc://models/students/digits}}
```

Durations are written `30s`, `5m`, `1h30m`. Unknown fields are refused by `kubectl apply`. A ✱ marks a required field.
"""


def reference(schema: dict[str, Any], columns: tuple[tuple[str, str, str, int], ...]) -> str:
    """The page as Markdown. `schema` is the object's structural schema, `columns` are its printer columns."""
    parts = [INTRODUCTION, _columns(columns)]
    for name in ("spec", "status"):
        for path, node in _objects(name, schema["properties"][name]):
            parts.append(_section(path, node))
    return "\n".join(parts)


def _columns(columns: tuple[tuple[str, str, str, int], ...]) -> str:
    lines = ["## Columns of `kubectl get dj`", "", "| column | shows | when |", "| --- | --- | --- |"]
    for name, _, path, priority in columns:
        lines.append(f"| {name.upper()} | `{path}` | {'with `-o wide`' if priority else 'always'} |")
    return "\n".join(lines) + "\n"


def _objects(path: str, node: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object with named fields, parents before children, lists as `path[]`."""
    if node.get("type") == "array":
        yield from _objects(f"{path}[]", node["items"])
    elif "properties" in node:
        yield path, node
        for name, child in node["properties"].items():
            yield from _objects(f"{path}.{name}", child)


def _section(path: str, node: dict[str, Any]) -> str:
    lines = [f"## {path}", "", node.get("description", ""), ""]
    rules = [_rule(rule) for rule in node.get("x-kubernetes-validations", [])]
    lines += [f"- {rule}" for rule in rules] + ([""] if rules else [])
    lines += ["| field | type | default | meaning |", "| --- | --- | --- | --- |"]
    required = node.get("required", [])
    for name, child in node["properties"].items():
        mark = " ✱" if name in required else ""
        cells = (f"`{name}`{mark}", _type(child), _default(child), _cell(child["description"]))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _rule(rule: dict[str, Any]) -> str:
    field = rule.get("fieldPath", "").removeprefix(".")
    message = _cell(rule["message"])
    if field:
        return f"`{field}` {message}."
    first_word, _, rest = message.partition(" ")
    return f"`{first_word}` {rest}." if "." in first_word else f"{message[0].upper()}{message[1:]}."


def _type(node: dict[str, Any]) -> str:
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    if node.get("x-kubernetes-int-or-string"):
        return "quantity"
    if node["type"] == "array":
        return f"list of {_type(node['items'])}"
    if "additionalProperties" in node:
        return f"map of {_type(node['additionalProperties'])}"
    return f"{node['type']}{_range(node)}"


def _range(node: dict[str, Any]) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    parts = []
    if low is not None:
        parts.append(f"{'>' if node.get('exclusiveMinimum') else '≥'} {low}")
    if high is not None:
        parts.append(f"{'<' if node.get('exclusiveMaximum') else '≤'} {high}")
    return f" {', '.join(parts)}" if parts else ""


def _default(node: dict[str, Any]) -> str:
    if "default" not in node or node["default"] in ({}, []):
        return ""
    value = node["default"]
    if isinstance(value, list):
        return ", ".join(f"`{_flow(item)}`" for item in value)
    return f"`{_flow(value)}`"


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
