"""Layers that PyTorch's compiler makes into fused kernels for as long as the student learns: `training.compile`.

https://docs.pytorch.org/docs/stable/generated/torch.compile.html. Each layer of a list of layers is compiled apart: layers that
are alike share what is made, hooks and shards stay around it, and the last layer stays free for the fused losses. A network
without such a list is compiled as one. What is measured, exported and served is the plain network.
"""

from __future__ import annotations

import shlex
import shutil
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.fx.experimental import _config

from distill_trainer.batch import Inputs
from distill_trainer.errors import ContractBroken, UserError
from distill_trainer.layers import bare, watch
from distill_trainer.losses import LOGITS, TermPlan
from distill_trainer.plan import Networks
from distill_trainer.shapes_alone import shapes_alone

FIELD = "training.compile"
BACKEND = "inductor"
_VARIANTS = 64
"""Of one layer's code: other widths, masks or precisions make another."""
_LONGER = "the first step takes longer"


@dataclass(frozen=True)
class CompilePlan:
    """The layers by name, `""` for a whole network; `says` is the sentence of the contract check."""

    student: tuple[str, ...]
    teacher: tuple[str, ...]
    says: str


@shapes_alone()
def plan_compiling(
    networks: Networks, terms: Sequence[TermPlan], *, beside: bool, whole: bool
) -> CompilePlan:
    """What is compiled of the student, and of the teacher if it runs `beside` it; layers that terms look into are left out.

    `whole` says that a network may be compiled as one. Raises ContractBroken where there is no compiler, or no layer left.
    """
    _check_compiler()
    pairs = [pair for term in terms for pair in term.pairs]
    student = _layers(networks.student, networks.example, [pair.student for pair in pairs], whole=whole)
    if not student.names:
        raise ContractBroken(
            "CompileRefused",
            f"{FIELD} is true, and of the student no layer can be compiled: it has no list of layers, or objective.terms look into "
            "each of them; remove it",
        )
    said = f"{FIELD}: {student.said('student')}"
    if not beside:
        return CompilePlan(student.names, (), f"{said}; {_LONGER}")
    teacher = _layers(networks.teacher, networks.example, [pair.teacher for pair in pairs], whole=whole)
    return CompilePlan(student.names, teacher.names, f"{said} and {teacher.said('teacher')}; {_LONGER}")


@dataclass(frozen=True)
class _Layers:
    """What is compiled of one network, of `count` layers in its lists."""

    names: tuple[str, ...]
    count: int

    def said(self, whose: str) -> str:
        if not self.names:
            return f"no layer of the {whose}"
        if not self.names[0]:
            return f"the whole {whose}"
        of = f"{len(self.names)} of " if len(self.names) < self.count else ""
        return f"{of}the {whose}'s {self.count} layers"


def _layers(network: nn.Module, example: Inputs, watched: Sequence[str], *, whole: bool) -> _Layers:
    """The outermost lists' layers that run, and that no watched one lies in: nothing inside is seen from outside once compiled.

    Where lists hold less than half of what is not a table of embeddings the network is taken as one, if it may be.
    """
    inner = bare(network)
    listed = list(_listed(inner, ""))
    with torch.no_grad(), watch(network, listed) as ran:
        network(example)
    names = [name for name in listed if name in ran]
    if whole and 2 * sum(_size(inner.get_submodule(name)) for name in names) < _size(inner):
        names = [""]
    inside = [name for name in watched if name != LOGITS]
    return _Layers(
        tuple(name for name in names if not any(_lies_in(each, name) for each in inside)), len(listed)
    )


@contextmanager
def compiled(student: nn.Module, teacher: nn.Module, plan: CompilePlan | None) -> Iterator[None]:
    """Compile both networks' layers within, the student's for passes that learn. Raises UserError CompileFailed."""
    if plan is None:
        yield
        return
    with ExitStack() as stack:
        stack.callback(torch.compiler.reset)
        # Or 8 texts of 8 tokens would have a kernel of their own, if they came first: sizes that are equal by chance.
        stack.enter_context(_config.patch(use_duck_shape=False))  # type: ignore[attr-defined] # given at run time
        for network, names, learns in ((student, plan.student, True), (teacher, plan.teacher, False)):
            for name in names:
                stack.enter_context(_compiled(bare(network).get_submodule(name), learns=learns))
        try:
            yield
        except RuntimeError as error:
            if not _by_compiler(error):
                raise
            raise UserError("CompileFailed", _failure(error)) from error


@contextmanager
def _compiled(layer: nn.Module, *, learns: bool) -> Iterator[None]:
    """The instance's own `forward` hides the class's; the module, its hooks and its state are what they were."""
    had = layer.__dict__.get("forward")
    plain: Callable[..., Any] = layer.forward
    # One kernel for batches of any size and texts of any length: which came first changes no bit of what it gives.
    fast = torch.compile(  # type: ignore[call-overload] # which lacks the limit
        plain, backend=BACKEND, dynamic=True, recompile_limit=_VARIANTS
    )

    def forward(*args: Any, **kwargs: Any) -> Any:
        return (fast if torch.is_grad_enabled() == learns else plain)(*args, **kwargs)

    layer.forward = forward
    try:
        yield
    finally:
        if had is None:
            del layer.forward
        else:
            layer.forward = had


def _listed(network: nn.Module, prefix: str) -> Iterator[str]:
    for name, child in network.named_children():
        path = f"{prefix}{name}"
        if isinstance(network, nn.ModuleList) and not isinstance(child, nn.ModuleList):
            yield path
        else:
            yield from _listed(child, f"{path}.")


def _lies_in(name: str, layer: str) -> bool:
    """Whether a layer lies within another, `""` the network; what it gives itself is seen from outside."""
    return name != layer and name.startswith(f"{layer}." if layer else "")


def _size(network: nn.Module) -> int:
    """Numbers in its parameters, tables of embeddings not counted."""
    tables = {id(each.weight) for each in network.modules() if isinstance(each, nn.Embedding)}
    return sum(weight.numel() for weight in network.parameters() if id(weight) not in tables)


def _check_compiler() -> None:
    """Kernels for CPUs are C++ with Python's headers, and Triton builds the starter of each of its own for GPUs with C."""
    named = _named_compiler()
    if not any(shutil.which(shlex.split(each)[0]) for each in named):  # "ccache g++" is one, too
        raise ContractBroken(
            "CompilerMissing",
            f"{FIELD} is true, and there is no C++ compiler here ({', '.join(named)}, or what CXX names): use an image with g++, as "
            "the project's own trainer image is, or remove it",
        )
    headers = Path(sysconfig.get_paths()["include"]) / "Python.h"
    if not headers.exists():
        raise ContractBroken(
            "CompilerMissing",
            f"{FIELD} is true, and Python's headers are not here ({headers}): install them (python3-dev in Debian), or remove it",
        )


def _named_compiler() -> tuple[str, ...]:
    from torch._inductor import config  # noqa: PLC0415 - takes a second, which those who compile alone need

    named = config.cpp.cxx
    return tuple(each for each in (named if isinstance(named, tuple | list) else (named,)) if each)


def _by_compiler(error: RuntimeError) -> bool:
    from torch._dynamo.exc import TorchDynamoException  # noqa: PLC0415 - as above
    from torch._inductor.exc import CppCompileError  # noqa: PLC0415 - as above

    return isinstance(error, TorchDynamoException | CppCompileError)


def _failure(error: RuntimeError) -> str:
    detail = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    return f"{FIELD} is true, and PyTorch's compiler cannot take the networks ({detail}): remove it"
