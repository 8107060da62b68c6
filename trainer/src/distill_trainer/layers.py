"""Layers by name, and what they give in a forward pass. Used by the contract check, the teacher's outputs and the step.

A name is the one that PyTorch gives (`named_modules`), as in `features.3`; `*` stands for anything between two dots.
Wrappers of parallel training and of the compiler put a name of their own in front, which nobody has to write.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor, nn

_WRAPPERS = {"DistributedDataParallel": "module", "OptimizedModule": "_orig_mod"}


def layer_names(network: nn.Module) -> list[str]:
    """Every layer that can be named, in the network's own order."""
    return [name for name, _ in bare(network).named_modules() if name]


def matching_layers(network: nn.Module, pattern: str) -> list[str]:
    """The layers that `pattern` names, in the network's own order; empty where there are none."""
    expression = re.compile(re.escape(pattern).replace(r"\*", "[^.]*"))
    return [name for name in layer_names(network) if expression.fullmatch(name)]


def bare(network: nn.Module) -> nn.Module:
    """The network itself, taken out of what wraps it."""
    inner = _WRAPPERS.get(type(network).__name__)
    return bare(network.get_submodule(inner)) if inner else network


@contextmanager
def watch(network: nn.Module, names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Collect the outputs of the layers `names` of the forward passes within; a layer that runs twice gives its last.

    Layers that give several values (attention gives its weights too) count with their first. A name that is missing
    from the dictionary afterwards did not run, or gave no tensor.
    """
    seen: dict[str, Tensor] = {}
    modules = [(name, bare(network).get_submodule(name)) for name in dict.fromkeys(names)]
    handles = [module.register_forward_hook(_keep(seen, name)) for name, module in modules]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _keep(seen: dict[str, Tensor], name: str) -> Callable[[nn.Module, object, object], None]:
    def hook(_module: nn.Module, _inputs: object, output: object) -> None:
        first = output[0] if isinstance(output, tuple | list) and output else output
        if isinstance(first, Tensor):
            seen[name] = first

    return hook
