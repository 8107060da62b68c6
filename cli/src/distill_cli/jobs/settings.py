"""`--set spec.training.epochs=3`: a field of the job replaced on the command line. Used by `read`."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from distill_cli.errors import CommandError
from distill_cli.jobs.documents import Document, NotYamlError, Path, read_value

_STEP = re.compile(r"([A-Za-z0-9_-]+)((?:\[[0-9]+\])*)")


@dataclass(frozen=True)
class Setting:
    """One `--set`; `text` is how it was written."""

    path: Path
    value: Any
    text: str


def read_setting(text: str) -> Setting:
    """`spec.a.b[0]=value`, the value as in YAML. Raises CommandError."""
    field, equals, value = text.partition("=")
    steps = [_STEP.fullmatch(part) for part in field.split(".")]
    if not equals or len(steps) < 2 or field.partition(".")[0] != "spec" or None in steps:
        raise CommandError(f"--set {text}: write it as spec.<field>=<value>, as in spec.training.epochs=3")
    path: Path = ()
    for step in steps:
        assert step is not None  # noqa: S101 - judged above; for the type checker
        path = (*path, step[1], *(int(index) for index in re.findall(r"[0-9]+", step[2])))
    try:
        return Setting(path, read_value(value), f"--set {field}")
    except NotYamlError as error:
        raise CommandError(f"--set {text}: {error.message}") from error


def with_settings(document: Document, settings: Sequence[Setting]) -> Document:
    """The document with each setting in its place. Raises CommandError where there is no such place."""
    value = copy.deepcopy(document.value)
    places = dict(document.places)
    for setting in settings:
        _put(value, setting)
        places = {path: at for path, at in places.items() if path[: len(setting.path)] != setting.path}
        places[setting.path] = setting.text
    return Document(value, places)


def _put(value: Any, setting: Setting) -> None:
    here = value
    for step, following in zip(setting.path, setting.path[1:], strict=False):
        if isinstance(step, str) and isinstance(here, dict) and not isinstance(following, int):
            here.setdefault(step, {})
        here = _entry(here, step, setting)
    last = setting.path[-1]
    if isinstance(last, int):
        _entry(here, last, setting)  # a list is not made longer
    elif not isinstance(here, dict):
        raise _no_place(setting, last)
    here[last] = setting.value


def _entry(here: Any, step: int | str, setting: Setting) -> Any:
    fits = isinstance(here, dict if isinstance(step, str) else list)
    try:
        if fits:
            return here[step]
    except (KeyError, IndexError):
        pass
    raise _no_place(setting, step)


def _no_place(setting: Setting, step: int | str) -> CommandError:
    return CommandError(
        f"{setting.text}: the job has no {step!r} there that could be set; write it in the file"
    )
