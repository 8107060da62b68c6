"""A student that starts as some of its teacher's layers: which ones, whether they fit, and the copy.

Works by names alone, so for every Transformers model with one stack of layers, encoders and decoders alike: a tensor
`….layer.3.…` of the student is that of the teacher's layer it was given, every other one (embeddings, final norm, head)
the teacher's of the same name. The contract check plans on the meta device, `run` copies.

Sanh et al.: DistilBERT (arXiv 1910.01108), section 3, starts its student this way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from distill_api.sources import InitFromTeacher
from distill_trainer.errors import ContractBroken

FIELD = "student.initFromTeacher"


@dataclass(frozen=True)
class LayerCopy:
    """The student's layer i of the stack `stack` starts as the teacher's layer `layers[i]`."""

    stack: str
    layers: tuple[int, ...]

    def source(self, name: str) -> str:
        """The teacher's tensor that the student's tensor `name` starts as."""
        prefix = f"{self.stack}."
        if not name.startswith(prefix):
            return name
        layer, _, rest = name.removeprefix(prefix).partition(".")
        return f"{prefix}{self.layers[int(layer)]}.{rest}"


def chosen_layers(init: InitFromTeacher, available: int) -> tuple[int, ...]:
    """The layers that the setting names, of a teacher that has `available`. Raises ContractBroken (LayerNotFound)."""
    if init.count is not None:
        if init.count > available:
            raise ContractBroken(
                "LayerNotFound",
                f"{FIELD}.count is {init.count}, and the teacher has {available} layers: set it to {available} or less",
            )
        return spread(init.count, available)
    wrong = [layer for layer in init.layers or () if layer >= available]
    if wrong:
        raise ContractBroken(
            "LayerNotFound",
            f"{FIELD}.layers names layer {wrong[0]}, and the teacher has {available}, counted from 0 to {available - 1}",
        )
    return tuple(init.layers or ())


def spread(count: int, available: int) -> tuple[int, ...]:
    """`count` of `available` layers, the first and the last among them; one alone is the first."""
    gaps = max(count - 1, 1)
    return tuple((2 * place * (available - 1) + gaps) // (2 * gaps) for place in range(count))


def thinned(config: dict[str, Any], layers: tuple[int, ...], *, key: str, available: int) -> dict[str, Any]:
    """The teacher's config with these layers alone; lists with an entry for each layer keep those of the chosen ones."""
    kept = {
        name: [value[layer] for layer in layers]
        if isinstance(value, list) and len(value) == available and "layer" in name
        else value
        for name, value in config.items()
    }
    return {**kept, key: len(layers)}


def plan_copy(teacher: nn.Module, student: nn.Module, init: InitFromTeacher) -> LayerCopy:
    """The copy, checked by names and shapes. Raises ContractBroken: LayerNotFound, LayerMismatch, WidthMismatch."""
    stack, available, wanted = _stack(teacher, student)
    layers = chosen_layers(init, available)
    if len(layers) != wanted:
        raise ContractBroken(
            "LayerMismatch",
            f"{FIELD} names {len(layers)} of the teacher's layers, and the student's config has {wanted}: name as many, or "
            "leave student.huggingFace out",
        )
    plan = LayerCopy(stack, layers)
    theirs = teacher.state_dict()
    for name, tensor in student.state_dict().items():
        _refuse_misfit(name, tensor, theirs.get(plan.source(name)))
    return plan


@torch.no_grad()
def copy_layers(teacher: nn.Module, student: nn.Module, plan: LayerCopy) -> None:
    """Fill the student's own tensors: nothing is shared with the teacher. Of a table of tokens the common rows."""
    theirs = teacher.state_dict()
    for name, tensor in student.state_dict().items():
        source = theirs[plan.source(name)]
        if tensor.shape == source.shape:
            tensor.copy_(source)
        else:
            rows = min(len(tensor), len(source))
            tensor[:rows].copy_(source[:rows])


def _stack(teacher: nn.Module, student: nn.Module) -> tuple[str, int, int]:
    """Name of the stack of layers, and how many both have."""
    theirs, mine = _outer_lists(teacher), _outer_lists(student)
    if len(theirs) != 1 or set(theirs) != set(mine):
        raise ContractBroken(
            "LayerMismatch",
            f"{FIELD} needs two models of one kind with one stack of layers each; the teacher has "
            f"{', '.join(theirs) or 'none'}, the student {', '.join(mine) or 'none'}: remove it, or name a student of the "
            "teacher's kind",
        )
    [(name, available)] = theirs.items()
    return name, available, mine[name]


def _outer_lists(network: nn.Module) -> dict[str, int]:
    """Lists of modules that lie in no other list, with their lengths."""
    found: dict[str, int] = {}
    for name, module in network.named_modules():
        within = any(name.startswith(f"{outer}.") for outer in found)
        if isinstance(module, nn.ModuleList) and not within:
            found[name] = len(module)
    return found


def _refuse_misfit(name: str, mine: Tensor, theirs: Tensor | None) -> None:
    if theirs is None:
        raise ContractBroken(
            "LayerMismatch",
            f"{FIELD}: the student's {name} has no counterpart in the teacher; name a student of the teacher's kind",
        )
    if mine.shape == theirs.shape or _is_token_table(name, mine, theirs):
        return
    raise ContractBroken(
        "WidthMismatch",
        f"{FIELD}: {name} is {list(theirs.shape)} in the teacher and {list(mine.shape)} in the student: layers are copied "
        "between equal widths alone; give the student the teacher's width, or leave student.huggingFace out",
    )


def _is_token_table(name: str, mine: Tensor, theirs: Tensor) -> bool:
    """Embeddings and heads of one tokenizer, padded to different counts of tokens."""
    table = any(word in name for word in ("embed", "wte", "lm_head", "decoder", "embed_out"))
    return table and mine.shape[1:] == theirs.shape[1:]
