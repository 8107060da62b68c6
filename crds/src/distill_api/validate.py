"""From pydantic's errors to the sentences that `kubectl apply` would show. Used by the trainer and the command line.

`spec.objective.alpha: 1.5: must be between 0 (teacher only) and 1 (labels only)`: field, value, remedy.
"""

from __future__ import annotations

import difflib
import json
import typing
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from distill_api.base import ApiModel
from distill_api.job import DistillationJob

SHOWN_VALUE_CHARACTERS = 80
_Location = tuple[int | str, ...]


def explain(error: ValidationError, model: type[ApiModel] = DistillationJob, at: str = "") -> list[str]:
    """One sentence for each fault in `error`, which validating a `model` raised.

    `at` is where the model lies in what the user wrote: `spec` for a part of a spec that is validated by itself.
    """
    return [_sentence(detail, model, at) for detail in error.errors()]


def _sentence(detail: ErrorDetails, model: type[BaseModel], at: str) -> str:
    location = detail["loc"]
    field = _field(model, location)
    path = _path(model, location, at)
    if detail["type"] == "missing":
        meaning = field.description if field is not None and field.description else ""
        return f"{path}: required, but not given. {meaning}".rstrip()
    if detail["type"] == "extra_forbidden":
        return f"{path}: unknown field{_nearest(model, location)}"
    remedy = _remedy(detail, field)
    if isinstance(detail["input"], dict | list | BaseModel):
        # A rule over several fields names the field at fault itself, and the whole object would bury the sentence.
        first_word = remedy.partition(":")[0].partition(".")[0]
        names_a_field = first_word in _names(_model_at(model, location))
        return f"{path}.{remedy}" if names_a_field else f"{path}: {remedy}"
    return f"{path}: {_shown(detail['input'])}: {remedy}"


def _path(model: type[BaseModel], location: _Location, at: str) -> str:
    """As the API server writes it: `a.b` for fields, `a[0]` and `a[key]` for entries of lists and maps."""
    path = at
    for index, step in enumerate(location):
        is_entry = isinstance(step, int) or _model_at(model, location[:index]) is None
        path += f"[{step}]" if is_entry else f"{'.' if path else ''}{step}"
    return path or "the document"


def _remedy(detail: ErrorDetails, field: FieldInfo | None) -> str:
    """The field's own sentence where its type was right and its value was not, else what pydantic says."""
    says = _own_sentence(field) if field is not None else None
    if says is not None:
        return says
    message = detail["msg"].removeprefix("Value error, ")
    return (
        message.replace("Input should be", "must be")
        .replace("Input should", "must")
        .replace("Field ", "field ")
    )


def _own_sentence(part: Any) -> str | None:
    """The "x-says" of a field, or of the type it is made of: that of `Duration` in `Duration | None`."""
    if isinstance(part, FieldInfo):
        extra = part.json_schema_extra
        says = extra.get("x-says") if isinstance(extra, dict) else None
        return says if isinstance(says, str) else _own_sentence(part.annotation)
    inner = (*typing.get_args(part), *getattr(part, "__metadata__", ())) if not isinstance(part, type) else ()
    return next((found for each in inner if (found := _own_sentence(each)) is not None), None)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= SHOWN_VALUE_CHARACTERS else f"{text[:SHOWN_VALUE_CHARACTERS]}…"


def _nearest(model: type[BaseModel], location: _Location) -> str:
    """`; did you mean "epochs"?`, or what the object has."""
    names = _names(_model_at(model, location[:-1]))
    close = difflib.get_close_matches(str(location[-1]), names, n=1)
    return f'; did you mean "{close[0]}"?' if close else f"; known here: {', '.join(names)}" if names else ""


def _names(model: type[BaseModel] | None) -> list[str]:
    return [] if model is None else [field.alias or name for name, field in model.model_fields.items()]


def _field(model: type[BaseModel], location: _Location) -> FieldInfo | None:
    """The field that `location` names, or whose entry it names (of a map or list)."""
    if not location:
        return None
    holder = _model_at(model, location[:-1])
    if holder is None:
        return _field(model, location[:-1])
    named = (field for name, field in holder.model_fields.items() if location[-1] in {name, field.alias})
    return next(named, None)


def _model_at(model: type[BaseModel], location: _Location) -> type[BaseModel] | None:
    """The model that lies at `location` below `model`, through optional fields and lists."""
    here: type[BaseModel] | None = model
    for step in location:
        if isinstance(step, int):
            continue  # the field before it, a list, was already followed to its entries
        field = _field(here, (step,)) if here is not None else None
        here = _inner_model(field.annotation) if field is not None else None
        if here is None:
            return None
    return here


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    """The model in `X`, `X | None`, `list[X]` and `Annotated[X, …]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in typing.get_args(annotation) if (found := _inner_model(part))), None)
