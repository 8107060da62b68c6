"""Plans where the teacher's outputs come from: the part of the contract check that looks at metadata, without a GPU."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from distill_api.contract import TrainerConfig
from distill_api.curriculum import Curriculum
from distill_api.teacher_outputs import OutputsMode
from distill_api.terms import KLVariant, TermType
from distill_trainer import uris
from distill_trainer.data import Description
from distill_trainer.errors import ContractBroken
from distill_trainer.losses import LOGITS, TermPlan
from distill_trainer.plan import Networks
from distill_trainer.shapes_alone import shapes_alone
from distill_trainer.teacher_outputs.choose import FIELD, Choice, Facts, choose
from distill_trainer.teacher_outputs.teacher_pass import head_name, head_of
from distill_trainer.text import DEFAULT_MAX_TOKENS

FOLDER = "teacher-outputs"
_SPARSE = {TermType.KL_DIVERGENCE, TermType.SOFT_TARGET_CROSS_ENTROPY}
_ROW_BY_ROW = {*_SPARSE, TermType.MSE_LOGITS, TermType.DECOUPLED}


@dataclass(frozen=True)
class OutputsPlan:
    """What was chosen, and what is stored of each sample: rows of logits, and the teacher's `layers`.

    `head` names the teacher's last layer where logits are made from what goes into it; `root` is the folder of all keys.
    """

    choice: Choice
    classes: int
    temperatures: tuple[float, ...]
    layers: tuple[str, ...]
    head: str | None
    root: Path


@shapes_alone()
def plan_outputs(
    config: TrainerConfig, data: Description, networks: Networks, terms: Sequence[TermPlan], *, classes: int
) -> OutputsPlan:
    """The plan. Raises ContractBroken where what the job asks for cannot be had; `networks` are on the meta device."""
    root = store_root(config)
    head = head_name(networks.teacher, networks.example)
    logits = _logits(networks)
    element = logits.element_size()
    layers = stored_layers(terms)
    rows = 1 if logits.dim() == 2 else config.dataset.max_tokens or DEFAULT_MAX_TOKENS
    facts = Facts(
        epochs=sum(stage.epochs for stage in config.stages),
        samples=data.sizes["train"],
        rows=rows,
        classes=classes,
        element_bytes=element,
        head_width=head_of(networks.teacher, head, classes).weight.shape[1] if head else None,
        layer_bytes=sum(torch.Size(shape).numel() for shape in layers.values()) * element,
        temperatures=softening_temperatures(terms),
        teacher_matters=any(stage.objective.alpha < 1 for stage in config.stages),
        varying=_varying(data, networks, terms, rows),
        no_sparse=_no_classes(data) or _no_sparse(terms) or _changing(config.curriculum),
        no_sampled=_no_sampled(terms),
        volume=_volume_bytes(root, config),
    )
    choice = choose(config.teacher_outputs, facts)
    return OutputsPlan(choice, classes, facts.temperatures, tuple(layers), head, root)


def store_root(config: TrainerConfig) -> Path:
    """The folder that keys get their folders in."""
    store = config.teacher_outputs.store
    if store is not None:
        return uris.resolve(store.uri, field=f"{FIELD}.store.uri") / FOLDER
    return uris.resolve(config.output.uri, field="output.uri") / FOLDER


def stored_layers(terms: Sequence[TermPlan]) -> dict[str, tuple[int, ...]]:
    """The teacher's layers that terms look at, with their shapes."""
    return {
        pair.teacher: pair.teacher_shape for term in terms for pair in term.pairs if pair.teacher != LOGITS
    }


def softening_temperatures(terms: Sequence[TermPlan]) -> tuple[float, ...]:
    """Those that the teacher's distribution is softened by, ascending."""
    return tuple(sorted({term.temperature for term in terms if term.term.type in _SPARSE}))


def _volume_bytes(root: Path, config: TrainerConfig) -> int:
    """The size of the store's volume. Raises ContractBroken where nothing can be written there and it would be."""
    if config.teacher_outputs.mode is OutputsMode.ONLINE:
        return 0
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root.parent):
            return shutil.disk_usage(root.parent).total
    except OSError as error:
        raise ContractBroken(
            "StoreNotWritable",
            f"{FIELD}: {root.parent} cannot be written ({error.strerror}); name a claim that is mounted for writing in "
            f"{FIELD}.store.uri, or set mode to Online",
        ) from error


def _logits(networks: Networks) -> Tensor:
    """The teacher's, of the example: shape and type alone."""
    with torch.no_grad():
        logits: Tensor = networks.teacher(networks.example)
    return logits


def _varying(data: Description, networks: Networks, terms: Sequence[TermPlan], rows: int) -> str:
    """Why what the teacher says of a sample is not the same, or has not the same size, in each batch."""
    if data.augmented:
        return f"the samples are augmented at random ({data.augmented}): each epoch has others"
    if not isinstance(networks.example, Tensor):
        for name in stored_layers(terms):
            return (
                f"layer {name!r} of the teacher is as long as the batch's longest text: no sample has its own"
            )
    for term in terms:
        if rows > 1 and term.term.type not in _ROW_BY_ROW:
            return f"{term.field} ({term.term.type.value}) compares whole texts, padding too"
    return ""


def _no_sparse(terms: Sequence[TermPlan]) -> str:
    """Which term needs all logits."""
    for term in terms:
        if term.term.type not in _SPARSE and not stored_layers([term]):
            return f"{term.field} ({term.term.type.value}) needs all logits of the teacher"
    return ""


def _no_classes(data: Description) -> str:
    """What an embedding lacks."""
    return "" if data.classes else "an embedding has no classes of which some could stand for all"


def _changing(curriculum: Curriculum | None) -> str:
    """What of a curriculum needs all logits."""
    if curriculum and curriculum.sampling:
        return "curriculum.sampling asks for the teacher's probability of every label"
    if curriculum and curriculum.schedules and curriculum.schedules.temperature:
        return "curriculum.schedules.temperature changes T, and a part of a distribution is stored at temperatures that stay"
    return ""


def _no_sampled(terms: Sequence[TermPlan]) -> str:
    """Which term cannot learn from draws at one temperature."""
    for term in terms:
        if term.term.variant not in {None, KLVariant.FORWARD}:
            return (
                f"{term.field}.variant {term.term.variant} takes more of p than draws estimate without bias"
            )
    found = softening_temperatures(terms)
    if len(found) > 1:
        return f"draws are of one temperature, the terms have {', '.join(f'{value:g}' for value in found)}"
    return ""
