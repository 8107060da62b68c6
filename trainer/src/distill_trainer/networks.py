"""Both networks of a run: built and loaded before training, in one piece and without adapters after it. Called by `run`."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import nn

from distill_api.contract import TrainerConfig
from distill_trainer.adapter import Adapter, adapter_of
from distill_trainer.check import Contract
from distill_trainer.checkpointing import enable_checkpointing
from distill_trainer.errors import ContractBroken
from distill_trainer.lora import adapt, base_of, merge
from distill_trainer.models.from_teacher import copy_layers
from distill_trainer.parts import Trained
from distill_trainer.sharding import is_sharded
from distill_trainer.weights import state_digest


@dataclass(frozen=True)
class Models:
    """Both networks on the device; the teacher is frozen."""

    teacher: nn.Module
    student: nn.Module
    teacher_digest: str


def load_models(config: TrainerConfig, contract: Contract, device: torch.device) -> Models:
    """Build both and load their weights; the student's fresh parameters depend on the seed alone."""
    teacher = contract.teacher.build(contract.signature)
    contract.teacher.load(teacher)
    torch.manual_seed(config.training.seed)
    student = contract.student.build(contract.signature)
    fresh = contract.student.load(student)
    _refuse_one_network(teacher, student)
    for field, name, network in (
        ("teacher", contract.teacher.name, teacher),
        ("student", contract.student.name, student),
    ):
        _refuse_no_numbers(network, f"{field} {name}")
    if contract.copied:
        copy_layers(teacher, student, contract.copied)
    if config.student.lora:
        adapt(contract.student.inner(student), config.student.lora, fresh)
    if config.training.activation_checkpointing:
        enable_checkpointing(student)
    teacher = teacher.eval().requires_grad_(requires_grad=False).to(device)
    return Models(teacher, student.to(device), state_digest(teacher))


def without_adapters(config: TrainerConfig, contract: Contract, models: Models) -> Adapter | None:
    """Make the student a plain model; its adapters apart, where it has some that go with a model that lies somewhere."""
    if not config.student.lora:
        return None
    student, base = contract.student.inner(models.student), base_of(config.student)
    adapter = adapter_of(student, base, config.task) if base else None
    merge(student)
    return adapter


def whole_models(contract: Contract, models: Models, trained: Trained, device: torch.device) -> Models:
    """Both models once more, in one piece: the leader's, who compares them and writes the student."""
    if not is_sharded(models.student):
        return models
    student = contract.student.build(contract.signature)
    student.load_state_dict(trained.best.state)
    teacher = models.teacher
    if is_sharded(teacher):
        teacher = contract.teacher.build(contract.signature)
        contract.teacher.load(teacher)
        teacher = teacher.eval().requires_grad_(requires_grad=False).to(device)
    return replace(models, teacher=teacher, student=student.to(device))


def _refuse_one_network(teacher: nn.Module, student: nn.Module) -> None:
    """A function that hands out the same tensors twice would make the student move its teacher."""
    if not {id(each) for each in teacher.parameters()}.isdisjoint(map(id, student.parameters())):
        raise ContractBroken(
            "SharedParameters",
            "teacher.python.factory and student.python.factory return networks that share parameters, so that training the "
            "student would change its teacher: let them return new ones at each call",
        )


def _refuse_no_numbers(network: nn.Module, name: str) -> None:
    """Of a teacher that says NaN the loss is lost at the first step, and no learning rate mends it."""
    wrong = [each for each, weight in network.named_parameters() if not weight.isfinite().all()]
    if wrong:
        more = f" and {len(wrong) - 1} more tensors" if len(wrong) > 1 else ""
        raise ContractBroken(
            "WeightsNotFinite",
            f"{name}: {wrong[0]}{more} of its weights hold NaN or infinite values, from which nothing can be learnt: write them "
            "again from the model as it was trained, in float32 where float16 overflowed",
        )
