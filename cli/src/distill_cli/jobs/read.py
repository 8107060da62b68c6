"""From a file to jobs: every fault with file, line, field, value and remedy; other kinds are skipped with a word.

Values are judged as the API server judges them: text is no number, whatever Python would make of it.
"""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import ConfigDict, Field, ValidationError

from distill_api import GROUP, KIND, VERSION, DistillationJob, DistillationJobSpec
from distill_api.base import ApiModel, Name
from distill_api.validate import explain
from distill_cli.errors import CommandError
from distill_cli.jobs.documents import Document, NotYamlError, read_documents
from distill_cli.jobs.settings import Setting, with_settings

STANDARD_INPUT = "-"
_API_VERSION = f"{GROUP}/{VERSION}"
_TOP = ("apiVersion", "kind", "metadata", "spec", "status")
_Model = TypeVar("_Model", bound=ApiModel)


class _Metadata(ApiModel):
    """What a job's metadata must have; Kubernetes knows more."""

    model_config = ConfigDict(extra="ignore")

    name: Name = Field(description="Name of the job.")
    namespace: Annotated[str, Field(max_length=63)] = "default"


@dataclass(frozen=True)
class Job:
    """A job that the schema accepts. `given` is the spec as it was written, without defaults."""

    place: str
    name: str
    namespace: str
    given: Mapping[str, Any]
    spec: DistillationJobSpec


@dataclass(frozen=True)
class Contents:
    """What is in a file: jobs, sentences about faults, sentences about what was skipped."""

    jobs: tuple[Job, ...]
    faults: tuple[str, ...]
    skipped: tuple[str, ...]


def read_file(file: str, settings: Sequence[Setting] = ()) -> Contents:
    """Everything in a file, `-` for standard input. Raises CommandError where it cannot be read at all."""
    documents = _documents(file)
    skipped, mine = [], []
    for document in documents:
        other = _other_kind(document.value)
        if other is None:
            mine.append(document)
        else:
            skipped.append(f"{document.place(())}: {other}: skipped, it is no {KIND}")
    judged = [_job(with_settings(document, settings)) for document in mine]
    jobs = tuple(each for each in judged if isinstance(each, Job))
    faults = tuple(fault for each in judged if not isinstance(each, Job) for fault in each)
    return Contents(jobs, faults, tuple(skipped))


def one_job(file: str, name: str | None, settings: Sequence[Setting]) -> Job:
    """The only job of a file, or the one called `name`. Raises CommandError with everything that is wrong with it."""
    documents = [each for each in _documents(file) if _other_kind(each.value) is None]
    names = [_name(document.value) for document in documents]
    chosen = [each for each, called in zip(documents, names, strict=True) if name in {None, called}]
    if len(chosen) != 1:
        listed = ", ".join(names) or "none"
        wanted = f"{len(chosen)} jobs called {name}" if name else f"{len(chosen)} jobs"
        remedy = "choose one with --job NAME" if names else f"write one of kind {KIND}"
        raise CommandError(f"{_shown(file)} holds {wanted} (there are: {listed}); {remedy}")
    found = _job(with_settings(chosen[0], settings))
    if isinstance(found, Job):
        return found
    raise CommandError("\n".join(found))


def _documents(file: str) -> list[Document]:
    try:
        text = sys.stdin.read() if file == STANDARD_INPUT else Path(file).read_text(encoding="utf-8")
        return read_documents(text, _shown(file))
    except NotYamlError as error:
        raise CommandError(f"{_shown(file)}:{error.line}: {error.message}") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{_shown(file)} is no text in UTF-8; name the YAML of a {KIND}") from error
    except OSError as error:
        raise CommandError(
            f"{_shown(file)} cannot be read: {error.strerror}; name the YAML of a {KIND}"
        ) from error


def _other_kind(value: Any) -> str | None:
    """How to call a document that is none of ours; None for one that is, or is meant to be."""
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
        return None
    kind, group = value["kind"], str(value.get("apiVersion", "")).partition("/")[0]
    if kind == KIND or (group == GROUP and difflib.get_close_matches(kind, [KIND], cutoff=0.8)):
        return None
    return f"{kind} {_name(value)}".rstrip()


def _name(value: Any) -> str:
    metadata = value.get("metadata") if isinstance(value, dict) else None
    return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""


def _job(document: Document) -> Job | list[str]:
    """The job, or a sentence for each fault."""
    value = document.value
    if not isinstance(value, dict):
        return [
            f"{document.place(())}: a {type(value).__name__}: must be an object with apiVersion, kind, metadata and spec"
        ]
    faults = _faults_at_the_top(document)
    metadata = _judge(_Metadata, value.get("metadata") or {}, document, "metadata")
    rest = {"metadata": {}, **({"spec": value["spec"]} if "spec" in value else {})}
    job = _judge(DistillationJob, rest, document, "")
    faults += [each for part in (metadata, job) if isinstance(part, list) for each in part]
    if faults or isinstance(metadata, list) or isinstance(job, list):
        return faults
    return Job(
        document.place(("metadata", "name")), metadata.name, metadata.namespace, value["spec"], job.spec
    )


def _faults_at_the_top(document: Document) -> list[str]:
    value: dict[str, Any] = document.value
    faults = []
    for field, wanted in (("apiVersion", _API_VERSION), ("kind", KIND)):
        if value.get(field) != wanted:
            given = (
                f"{json.dumps(value[field], default=str)}: must be"
                if field in value
                else "required, but not given: write"
            )
            faults.append(f"{document.place((field,))}: {field}: {given} {wanted}")
    for field in value:
        if field not in _TOP:
            near = difflib.get_close_matches(str(field), _TOP, n=1)
            hint = f'; did you mean "{near[0]}"?' if near else f"; known here: {', '.join(_TOP)}"
            faults.append(f"{document.place((field,))}: {field}: unknown field{hint}")
    return faults


def _judge(model: type[_Model], value: Any, document: Document, at: str) -> _Model | list[str]:
    """The model of `value`, or a sentence with its place for each fault."""
    text = json.dumps(value, default=str)
    try:
        return model.model_validate_json(text, strict=True)
    except ValidationError as error:
        above = (at,) if at else ()
        places = [document.place((*above, *detail["loc"])) for detail in error.errors()]
        return [f"{place}: {said}" for place, said in zip(places, explain(error, model, at), strict=True)]


def _shown(file: str) -> str:
    return "standard input" if file == STANDARD_INPUT else file
