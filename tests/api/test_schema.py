"""The generator: what it writes is structural and up to date, and what it cannot write it refuses with the way out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from distill_api import DistillationJobSpec
from distill_api.__main__ import main
from distill_api.base import ApiModel, Rule
from distill_api.crd import generated_files, object_schema
from distill_api.schema import SchemaError, structural

ALLOWED = {
    *(
        "description",
        "type",
        "enum",
        "default",
        "required",
        "properties",
        "items",
        "additionalProperties",
        "format",
    ),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "pattern", "minLength", "maxLength"),
    *("minItems", "maxItems", "maxProperties", "x-kubernetes-validations", "x-kubernetes-list-type"),
    *(
        "x-kubernetes-list-map-keys",
        "x-kubernetes-int-or-string",
        "anyOf",
        "x-kubernetes-preserve-unknown-fields",
    ),
}


def nodes(path: str, node: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from nodes(f"{path}.{name}", child)
    for inner in ("items", "additionalProperties"):
        if inner in node:
            yield from nodes(f"{path}[]", node[inner])


ALL_NODES = dict(nodes("", object_schema()))


def test_only_words_of_a_structural_schema_are_used():
    assert {word for node in ALL_NODES.values() for word in node} <= ALLOWED
    untyped = {path for path, node in ALL_NODES.items() if "type" not in node}
    assert untyped == {path for path, node in ALL_NODES.items() if "x-kubernetes-int-or-string" in node}


def test_every_field_of_spec_and_status_has_a_description():
    named = {path for path in ALL_NODES if not path.endswith("[]")} - {".metadata"}
    assert {path for path in named if len(ALL_NODES[path].get("description", "")) < 8} == set()
    assert {".status.conditions[].reason", ".status.result.student.latencyP50Seconds"} <= named


def test_every_string_list_and_map_has_a_limit():
    limits = {"string": "maxLength", "array": "maxItems"}
    for path, node in ALL_NODES.items():
        word = limits.get(node.get("type", ""))
        assert word is None or word in node or "enum" in node or path in {".apiVersion", ".kind"}, path


def test_the_status_has_no_default_but_the_phase_of_what_nobody_has_looked_at():
    defaults = {
        path: node["default"]
        for path, node in ALL_NODES.items()
        if path.startswith(".status") and "default" in node
    }
    assert defaults == {".status": {"phase": "Pending"}}


@pytest.mark.parametrize("path", [str(path) for path in generated_files()])
def test_the_committed_file_is_what_the_models_say(repository, path):
    committed = (repository / path).read_text(encoding="utf-8")
    wanted = next(text for name, text in generated_files().items() if str(name) == path)
    assert committed == wanted, "run `python -m distill_api` and commit what it writes"


def test_check_names_what_is_out_of_date_and_writing_repairs_it(tmp_path, capsys):
    assert main(["--root", str(tmp_path)]) == 0
    crd = tmp_path / "crds/distillationjobs.yaml"
    crd.write_text(crd.read_text(encoding="utf-8").replace("maximum: 100000", "maximum: 7"), encoding="utf-8")
    assert main(["--root", str(tmp_path), "--check"]) == 1
    complaint = capsys.readouterr().err
    assert "maximum: 7" in complaint
    assert "maximum: 100000" in complaint
    assert "python -m distill_api" in complaint
    assert main(["--root", str(tmp_path)]) == 0
    assert main(["--root", str(tmp_path), "--check"]) == 0


class Inner(ApiModel):
    """Inside."""

    size: float = Field(default=1.0, gt=0, description="A size.")


class Small(ApiModel):
    """A model for the generator."""

    exactly_one_of = ("left_side", "right_side")
    cel = (Rule("self.left_side != 3", "not 3", field="leftSide"),)
    frozen_fields = ("inner", "note")

    left_side: int | None = Field(
        default=None, ge=1, le=5, description="Left.", json_schema_extra={"x-says": "1…5"}
    )
    right_side: Inner | None = Field(default=None, description="Right.")
    inner: Inner = Field(default=Inner(size=2.0), description="In the middle.")
    note: Annotated[str, Field(max_length=9)] | None = Field(default=None, description="A note.")


def test_the_pass_from_pydantic_to_structural():
    schema = structural(Small, "spec")
    left, inner = schema["properties"]["leftSide"], schema["properties"]["inner"]
    assert left == {
        "description": "Left. It 1…5.",
        "type": "integer",
        "x-kubernetes-validations": [{"rule": "self >= 1 && self <= 5", "message": "1…5"}],
    }
    assert inner["description"] == "In the middle."
    assert inner["default"] == {"size": 2.0}
    size = inner["properties"]["size"]
    assert (size["minimum"], size["exclusiveMinimum"]) == (0, True)
    assert inner["x-kubernetes-validations"] == [
        {
            "rule": "self == oldSelf",
            "message": "spec.inner cannot change once the job exists: make a new DistillationJob",
        }
    ]
    one, own, note = schema["x-kubernetes-validations"]
    assert one["rule"] == "(has(self.leftSide) ? 1 : 0) + (has(self.rightSide) ? 1 : 0) == 1"
    assert own["fieldPath"] == ".leftSide"
    assert note["rule"].startswith("has(self.note) == has(oldSelf.note)")


class Union(BaseModel):
    """Two types."""

    either: int | Annotated[str, Field(max_length=3)] = Field(description="Either.")


class Pair(BaseModel):
    """A tuple."""

    pair: tuple[int, int] = Field(description="Two.", max_length=2)


class Mute(BaseModel):
    """No description."""

    silent: int


class Long(BaseModel):
    """No limit."""

    text: str = Field(description="Long.")


class Many(BaseModel):
    """No limit."""

    numbers: list[int] = Field(description="Many.")


class Loop(BaseModel):
    """Itself."""

    next: Loop | None = Field(default=None, description="Next.")


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (Union, "spec.either: anyOf .* exactly_one_of"),
        (Pair, "spec.pair: prefixItems .* is not structural"),
        (Mute, "spec.silent: needs a description"),
        (Long, "spec.text: a string needs max_length"),
        (Many, "spec.numbers: a list needs max_length"),
        (Loop, "spec.next.*: Loop contains itself"),
    ],
)
def test_what_a_structural_schema_cannot_say_is_refused(model, sentence):
    with pytest.raises(SchemaError, match=sentence):
        structural(model, "spec")


def test_the_good_job_makes_the_round_trip(digits):
    spec = DistillationJobSpec.model_validate(digits["spec"])
    assert DistillationJobSpec.model_validate(spec.wire()) == spec
    assert spec.wire()["gate"] == {"metric": "accuracy", "maxDropVsTeacher": 0.02}
