"""From a pydantic model to a structural OpenAPI schema, the only kind that a CRD may hold.

`distill_api.crd` calls `structural`. What pydantic writes is not structural (references, `anyOf` with null, titles),
and what it cannot say becomes CEL: alternatives, rules over several fields, fields that may not change, and ranges
whose own sentence ("x-says") teaches more than "should be less than or equal to 1".

https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.alias_generators import to_camel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from distill_api import cel
from distill_api.base import ApiModel

Schema = dict[str, Any]
VALIDATIONS = "x-kubernetes-validations"
REFUSED = ("anyOf", "oneOf", "allOf", "not", "prefixItems")


class SchemaError(Exception):
    """A model says what a structural schema cannot: the sentence names the field and the way out."""


class _ModelRules(GenerateJsonSchema):
    """Carries the class variables of `ApiModel` into the JSON schema."""

    def model_schema(self, schema: core_schema.ModelSchema) -> Schema:
        result = super().model_schema(schema)
        model = schema["cls"]
        if issubclass(model, ApiModel) and "properties" in result:
            rules = [cel.validation(rule) for rule in model.cel]
            if model.exactly_one_of:
                rules.insert(0, cel.exactly_one([to_camel(name) for name in model.exactly_one_of]))
            if rules:
                result[VALIDATIONS] = rules
            for name in model.frozen_fields:
                result["properties"][to_camel(name)]["x-frozen"] = True
        return result


def structural(model: type[BaseModel], path: str, *, defaults: bool = True) -> Schema:
    """The structural schema of `model`, which users know as `path` (`spec`).

    With `defaults` false the API server adds nothing: right for a status. Raises SchemaError for unions, tuples,
    recursion, fields without a description and strings, lists and maps without a limit (CEL's cost budget needs them).
    """
    raw = model.model_json_schema(by_alias=True, schema_generator=_ModelRules)
    node = _structural_node(raw, raw.get("$defs", {}), path, ())
    return node if defaults else _without_defaults(node)


def _structural_node(raw: Schema, definitions: Schema, path: str, within: tuple[str, ...]) -> Schema:
    node, within = _inlined(raw, definitions, path, within)
    _refuse_what_is_not_structural(node, path)
    if "properties" in node:
        node["properties"] = {
            name: _structural_node(child, definitions, f"{path}.{name}", within)
            for name, child in node["properties"].items()
        }
        _freeze_properties(node, path)
    if "items" in node:
        node["items"] = _structural_node(node["items"], definitions, f"{path}[]", within)
    if isinstance(node.get("additionalProperties"), dict):
        values = _structural_node(node["additionalProperties"], definitions, f"{path}.*", within)
        node["additionalProperties"] = values
    _say(node)
    _simplify(node)
    _require_limits(node, path)
    return _ordered(node)


def _inlined(
    raw: Schema, definitions: Schema, path: str, within: tuple[str, ...]
) -> tuple[Schema, tuple[str, ...]]:
    """`$ref` and `anyOf: [X, null]` replaced by what they stand for; what the field itself says goes first."""
    node = dict(raw)
    while True:
        if "$ref" in node:
            name = node.pop("$ref").removeprefix("#/$defs/")
            if name in within:
                raise SchemaError(f"{path}: {name} contains itself; a structural schema cannot")
            within = (*within, name)
            inner = definitions[name]
        elif "anyOf" in node and len(others := _not_null(node["anyOf"])) == 1:
            del node["anyOf"]
            inner = others[0]
        else:
            return node, within
        rules = [*inner.get(VALIDATIONS, []), *node.get(VALIDATIONS, [])]
        node = {**inner, **node} | ({VALIDATIONS: rules} if rules else {})


def _not_null(alternatives: list[Schema]) -> list[Schema]:
    return [choice for choice in alternatives if choice.get("type") != "null"]


def _refuse_what_is_not_structural(node: Schema, path: str) -> None:
    for word in REFUSED:
        if word in node:
            raise SchemaError(
                f"{path}: {word} (a union or tuple) is not structural: use optional fields and exactly_one_of"
            )
    if "type" not in node and "enum" not in node and "const" not in node:
        raise SchemaError(f"{path}: has no type; a structural schema needs one on every field")


def _freeze_properties(node: Schema, path: str) -> None:
    """A field that is always there compares itself; one that may be absent is compared by its parent."""
    for name, child in node["properties"].items():
        if not child.pop("x-frozen", False):
            continue
        always = name in node.get("required", []) or "default" in child
        holder, rule = (
            (child, cel.frozen(f"{path}.{name}")) if always else (node, cel.frozen_optional(path, name))
        )
        holder[VALIDATIONS] = [*holder.get(VALIDATIONS, []), rule]


def _say(node: Schema) -> None:
    """Replaces ranges and patterns by a CEL rule where the model gives the sentence, and says it in the description."""
    sentence = node.pop("x-says", None)
    extra = node.pop("x-rule", None)
    if sentence is None:
        return
    parts = [*cel.bounds(node), *([extra] if extra else [])]
    for word in cel.BOUND_WORDS:
        node.pop(word, None)
    node[VALIDATIONS] = [*node.get(VALIDATIONS, []), {"rule": " && ".join(parts), "message": sentence}]
    if "description" in node:
        node["description"] = f"{node['description'].rstrip('.')}. It {sentence}."


def _simplify(node: Schema) -> None:
    """Spells the rest as OpenAPI v3.0 does, and makes defaults as short as the nested ones allow."""
    if "const" in node:
        node["enum"] = [node["const"]]
    if "enum" in node:
        node.setdefault("type", "string")
    for word, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if word in node:
            node[bound], node[word] = node.pop(word), True
    if isinstance(node.get("additionalProperties"), bool):
        del node["additionalProperties"]
    if node.pop("x-int-or-string", False):
        node.pop("type")
        node |= {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}
    if "default" in node:
        node["default"] = _short_default(node["default"], node)
        if node["default"] is None:
            del node["default"]
    for word in ("title", "$defs", "const"):
        node.pop(word, None)


def _short_default(value: Any, node: Schema) -> Any:
    """`value` without what is null and without what the nested schemas add anyway."""
    if isinstance(value, list):
        return [_short_default(item, node.get("items", {})) for item in value]
    if not isinstance(value, dict):
        return value
    properties = node.get("properties", {})
    short = {
        key: _short_default(item, properties.get(key, {})) for key, item in value.items() if item is not None
    }
    return {
        key: item
        for key, item in short.items()
        if "default" not in properties.get(key, {}) or properties[key]["default"] != item
    }


def _require_limits(node: Schema, path: str) -> None:
    kind = node.get("type")
    if kind == "string" and "maxLength" not in node and "enum" not in node:
        raise SchemaError(f"{path}: a string needs max_length")
    if kind == "array" and "maxItems" not in node:
        raise SchemaError(f"{path}: a list needs max_length")
    if kind == "object" and "additionalProperties" in node and "maxProperties" not in node:
        raise SchemaError(f"{path}: a map needs max_length")
    if "description" not in node and not path.endswith(("[]", ".*")):
        raise SchemaError(f"{path}: needs a description; `kubectl explain` shows it")


def _ordered(node: Schema) -> Schema:
    """Description and type first, so that the YAML reads well."""
    first = [key for key in ("description", "type", "enum", "default", "required") if key in node]
    last = [key for key in ("items", "properties", VALIDATIONS) if key in node]
    return {key: node[key] for key in [*first, *sorted(node.keys() - {*first, *last}), *last]}


def _without_defaults(node: Schema) -> Schema:
    result = {key: value for key, value in node.items() if key != "default"}
    if "properties" in result:
        result["properties"] = {k: _without_defaults(v) for k, v in result["properties"].items()}
    if "items" in result:
        result["items"] = _without_defaults(result["items"])
    return result
