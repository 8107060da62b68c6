"""Finds and calls the function that makes a network: `package.module:function` in the image that this runs in.

Code of the image runs, and nothing else: no code comes with a job. What goes wrong in it is told in one sentence.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from distill_trainer.data.suggest import did_you_mean
from distill_trainer.errors import ContractBroken


def find_factory(path: str, field: str) -> Callable[..., Any]:
    """The function. Raises ContractBroken: FactoryNotFound, FactoryFailed."""
    module_name, _, name = path.partition(":")
    module = _imported(module_name, path, field)
    found = getattr(module, name, None)
    if callable(found):
        return found  # type: ignore[no-any-return]
    known = sorted(
        key
        for key, value in vars(module).items()
        if callable(value) and not key.startswith("_") and getattr(value, "__module__", "") == module_name
    )
    raise ContractBroken(
        "FactoryNotFound",
        f"{field}.factory is {path!r}: {module_name} has no function {name!r}{did_you_mean(name, known)}; it has "
        f"{', '.join(known[:8]) or 'none'}",
    )


def call_factory(path: str, args: Mapping[str, Any], field: str) -> nn.Module:
    """A network that the function made. Raises ContractBroken: FactoryNotFound, FactoryFailed, ArgumentsInvalid."""
    factory = find_factory(path, field)
    _refuse_arguments(factory, args, path, field)
    try:
        made = factory(**args)
    except Exception as error:
        raise ContractBroken(
            "FactoryFailed", f"{field}.factory {path!r} failed ({_told(error)}); mend it, or {field}.args"
        ) from error
    if not isinstance(made, nn.Module):
        raise ContractBroken(
            "FactoryFailed",
            f"{field}.factory {path!r} returned a {type(made).__name__}: it must return a torch.nn.Module",
        )
    return made


def code_digest(path: str, field: str) -> str:
    """`sha256:…` of the file that the function's module lies in; empty where it is no file."""
    module = inspect.getmodule(find_factory(path, field))
    file = inspect.getsourcefile(module) if module else None
    return "sha256:" + hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""


def _imported(module: str, path: str, field: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            raise ContractBroken(
                "FactoryNotFound",
                f"{field}.factory is {path!r}, and this image has no Python module {error.name!r}: use an image that holds "
                "the code (spec.resources.template.image; for a served student the chart's image.server)",
            ) from error
        raise _import_failed(path, error, field) from error
    except Exception as error:
        raise _import_failed(path, error, field) from error


def _import_failed(path: str, error: Exception, field: str) -> ContractBroken:
    return ContractBroken(
        "FactoryFailed",
        f"{field}.factory is {path!r}: its module cannot be imported ({_told(error)}); mend it",
    )


def _refuse_arguments(factory: Callable[..., Any], args: Mapping[str, Any], path: str, field: str) -> None:
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):  # functions of C say nothing of their arguments
        return
    try:
        signature.bind(**args)
    except TypeError as error:
        raise ContractBroken(
            "ArgumentsInvalid",
            f"{field}.args do not fit {path}{signature}: {error}; give those that it has",
        ) from error


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
