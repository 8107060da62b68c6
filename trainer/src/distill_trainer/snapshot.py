"""What a checkpoint holds, as values: taken from a running training and put back into one. No files here."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from distill_trainer.sharding import load_whole, part_of
from distill_trainer.weights import plain_tensors


@dataclass(frozen=True)
class Position:
    """How far the training is: `batches_done` of `epoch` (from 1), and the sums of the epoch's losses so far.

    The sums are total, task, distillation and each term; empty at an epoch's start. `rate_scale` is less than 1 once the
    training went back from `lost_at`, the step where its loss was lost.
    """

    epoch: int = 1
    batches_done: int = 0
    step: int = 0
    sums: tuple[float, ...] = ()
    rate_scale: float = 1.0
    lost_at: int | None = None


@dataclass(frozen=True)
class EpochRecord:
    """One finished epoch: mean losses (of each term by its name too), both models on the validation split.

    `alpha` and `temperature` are those of its last step, `training_stage` is its stage, `sample_share` what of the samples it
    took; None where they never change.
    """

    epoch: int
    loss: float
    task_loss: float
    distillation_loss: float
    student_metric: float
    teacher_metric: float
    learning_rate: float
    seconds: float
    terms: dict[str, float] = field(default_factory=dict)
    training_stage: str | None = None
    sample_share: float | None = None
    alpha: float | None = None
    temperature: float | None = None


@dataclass(frozen=True)
class Best:
    """The epoch with the greatest validation metric, the earlier one where several are equal, and its tensors."""

    epoch: int
    metric: float
    state: dict[str, Tensor] = field(repr=False)


@dataclass(frozen=True)
class Snapshot:
    """Everything that going on bit for bit needs."""

    position: Position
    history: tuple[EpochRecord, ...]
    best: Best | None
    model: dict[str, Tensor] = field(repr=False)
    optimizer: dict[str, Tensor] = field(repr=False)
    random: dict[str, Tensor] = field(repr=False)
    objective: dict[str, Tensor] = field(default_factory=dict, repr=False)
    samples: dict[str, Tensor] = field(default_factory=dict, repr=False)
    """`order`, the places of the training samples as a curriculum takes them; empty where it takes all from the start."""


def optimizer_tensors(optimizer: torch.optim.Optimizer, *, keep: bool = True) -> dict[str, Tensor]:
    """The optimizer's state flat: `<parameter's index>.<name>` → tensor. Its settings come from the config again."""
    flat: dict[str, Tensor] = {}
    for index, values in optimizer.state_dict()["state"].items():
        flat |= {f"{index}.{name}": value for name, value in values.items() if isinstance(value, Tensor)}
    return plain_tensors(flat, keep=keep)


def restore_optimizer(optimizer: torch.optim.Optimizer, flat: dict[str, Tensor]) -> None:
    """Undo `optimizer_tensors`."""
    state: dict[int, dict[str, Any]] = {}
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    for key, value in flat.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = part_of(value, weights[int(index)])
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def random_states() -> dict[str, Tensor]:
    """The generators of python, numpy, torch and each GPU as tensors."""
    version, words, gauss = random.getstate()
    _, keys, at, has_gauss, cached = np.random.get_state(legacy=True)  # the global one, which libraries use
    states = {
        "torch": torch.get_rng_state(),
        "python": torch.tensor([version, *words], dtype=torch.int64),
        "python_gauss": torch.tensor([gauss is not None, gauss or 0.0], dtype=torch.float64),
        "numpy": torch.tensor([int(key) for key in keys], dtype=torch.int64),
        "numpy_rest": torch.tensor([at, has_gauss, cached], dtype=torch.float64),
    }
    if torch.cuda.is_available():
        states |= {f"cuda.{index}": state for index, state in enumerate(torch.cuda.get_rng_state_all())}
    return states


def restore_random(states: dict[str, Tensor]) -> None:
    """Undo `random_states`; a GPU that is not there any more is left out."""
    torch.set_rng_state(states["torch"])
    version, *words = states["python"].tolist()
    has_gauss, gauss = states["python_gauss"].tolist()
    random.setstate((version, tuple(words), gauss if has_gauss else None))
    at, numpy_has_gauss, cached = states["numpy_rest"].tolist()
    keys = states["numpy"].numpy().astype(np.uint32)
    np.random.set_state(("MT19937", keys, int(at), int(numpy_has_gauss), cached))
    for index in range(torch.cuda.device_count()):
        if f"cuda.{index}" in states:
            torch.cuda.set_rng_state(states[f"cuda.{index}"], index)


def restore(
    snapshot: Snapshot, student: nn.Module, objective: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    """Put model, what the objective learns and remembers, optimizer and generators where they were."""
    load_whole(student, snapshot.model)
    objective.load_state_dict(snapshot.objective)
    restore_optimizer(optimizer, snapshot.optimizer)
    restore_random(snapshot.random)
