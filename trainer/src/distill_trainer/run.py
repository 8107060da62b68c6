"""One training run, read top to bottom: contract, data, teacher, student, training, comparison, version folder."""

from __future__ import annotations

import logging
import os
import random
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from distill_api.contract import Outcome, TrainerConfig
from distill_api.naming import digest
from distill_api.teacher_outputs import OutputsMode
from distill_api.training import Strategy, Task
from distill_trainer import uris
from distill_trainer.adapter import Adapter, adapter_of
from distill_trainer.check import Contract, check
from distill_trainer.checkpoint import CheckpointStore, Identity
from distill_trainer.checkpointing import enable_checkpointing
from distill_trainer.data import DataSet, fetched
from distill_trainer.data.elsewhere import Progress
from distill_trainer.errors import ContractBroken, UserError
from distill_trainer.fused_path import FUSED, FusedPath, fused_path, not_fused
from distill_trainer.gathering import compare_whole_steps
from distill_trainer.judging import Reading
from distill_trainer.loop import Trainer
from distill_trainer.lora import adapt, base_of, merge
from distill_trainer.losses.fused import NotFused
from distill_trainer.models.from_teacher import copy_layers
from distill_trainer.output import finished_version
from distill_trainer.parts import Parts, StagePart, Trained, smallest_part
from distill_trainer.parts_check import check_parts, part_warnings
from distill_trainer.progress import ProgressBoard
from distill_trainer.ranks import AgreedStop, Ranks
from distill_trainer.result import Finished, publish
from distill_trainer.sharding import is_sharded, shard
from distill_trainer.stop import StopSignal
from distill_trainer.tasks import kit_of
from distill_trainer.teacher_outputs import TeacherOutputs
from distill_trainer.teacher_outputs.prepare import Origin, Prepared, prepare
from distill_trainer.weights import state_digest

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Models:
    """Both networks on the device; the teacher is frozen."""

    teacher: nn.Module
    student: nn.Module
    teacher_digest: str


def train(config: TrainerConfig, board: ProgressBoard, stop: StopSignal, ranks: Ranks = Ranks()) -> Outcome:  # noqa: B008 - frozen
    """Train, compare, write: the leader does what is not training, the others wait. Raises UserError and Disrupted."""
    fetched(config.dataset, _Fetching(board, stop))
    board.fetched()
    contract = check(config)
    check_parts(config, contract.terms, ranks.world)
    for warning in contract.warnings:
        log.warning("%s", warning)
    for note in contract.notes:
        log.info("%s", note)
    device = seed_everything(config.training.seed)
    output = uris.resolve(config.output.uri, field="output.uri")
    data = kit_of(config.task).load(config, contract.sources)
    _refuse_other_data(data, ranks)
    contract = _with_what_was_read(contract, data)
    models = _load_models(contract, device, config)
    identity = Identity(config.recipe_digest, data.digest, models.teacher_digest)
    earlier = ranks.from_leader(
        finished_version(output, identity, config.output.formats) if ranks.leads else None
    )
    if earlier:
        log.info("this recipe is trained already: %s", earlier.message)
        return earlier
    stop.check()
    fused, said = _fused_path(contract, models, device)
    teacher = _teacher_outputs(config, contract, models, data, device, board, stop, fused)
    contract = replace(contract, notes=(*contract.notes, *said, *teacher.notes))
    trained = _train(
        config, contract, models, teacher.source, fused, data, device, output, identity, board, stop, ranks
    )
    contract = replace(contract, warnings=(*contract.warnings, *trained.says))
    adapter = _merged(config, contract, models) if config.student.lora else None
    if is_sharded(models.student) and ranks.leads:
        models = _whole(contract, models, trained, device)
    finished = Finished(
        config, contract, data, models.teacher, models.student, trained, identity, device, output, adapter
    )
    answer = ranks.from_leader(publish(finished, board, stop) if ranks.leads else None)
    assert answer is not None  # noqa: S101 - the leader's
    return answer


class _Fetching(Progress):
    """On the board; SIGTERM ends it, and the next start goes on from the files that are whole."""

    def __init__(self, board: ProgressBoard, stop: StopSignal) -> None:
        self.tell, self.check = board.fetching, stop.check  # type: ignore[method-assign]


def _refuse_other_data(data: DataSet, ranks: Ranks) -> None:
    """Processes that see other samples would take other steps, and wait for each other for ever."""
    if ranks.from_leader(data.digest) != data.digest:
        raise UserError(
            "DataDiffers",
            f'process {ranks.rank} reads other samples of dataset "{data.name}" than the first one: give all of them the same '
            "files, and change none during training",
        )


def _with_what_was_read(contract: Contract, data: DataSet) -> Contract:
    """What only reading the samples tells: how many there are, and what is said of them."""
    for warning in data.warns:
        log.warning("%s", warning)
    new = tuple(note for note in data.says if note not in contract.notes)
    for note in new:
        log.info("%s", note)
    return replace(
        contract,
        warnings=(*contract.warnings, *data.warns),
        notes=(*contract.notes, *new),
        stages=tuple(
            tuple(replace(plan, samples=len(data.train)) for plan in stage) for stage in contract.stages
        ),
    )


def seed_everything(seed: int) -> torch.device:
    """Seed all generators, ask for deterministic kernels, and choose the device: a GPU where there is one."""
    os.environ.setdefault(
        "CUBLAS_WORKSPACE_CONFIG", ":4096:8"
    )  # cuBLAS is deterministic only with a fixed workspace
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    # Goes with it unless told otherwise, costs a pass over all new memory, and helps only code that reads before it writes.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    random.seed(seed)
    np.random.seed(seed)  # the global generator, which libraries use
    torch.manual_seed(seed)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _load_models(contract: Contract, device: torch.device, config: TrainerConfig) -> Models:
    """Build both and load their weights; the student's fresh parameters depend on the seed alone."""
    teacher = contract.teacher.build(contract.signature)
    contract.teacher.load(teacher)
    torch.manual_seed(config.training.seed)
    student = contract.student.build(contract.signature)
    fresh = contract.student.load(student)
    _refuse_one_network(teacher, student)
    if contract.copied:
        copy_layers(teacher, student, contract.copied)
    if config.student.lora:
        adapt(contract.student.inner(student), config.student.lora, fresh)
    if config.training.activation_checkpointing:
        enable_checkpointing(student)
    teacher = teacher.eval().requires_grad_(requires_grad=False).to(device)
    return Models(teacher, student.to(device), state_digest(teacher))


def _fused_path(
    contract: Contract, models: Models, device: torch.device
) -> tuple[FusedPath | None, tuple[str, ...]]:
    """The fused losses of a language model where they can be had, and the sentence that says which are taken."""
    signature = contract.signature
    if signature.task is not Task.CAUSAL_LM:
        return None, ()
    example = kit_of(signature.task).example(signature, 2, device)
    choice, columns = contract.outputs.choice, signature.classes
    try:
        path = fused_path(contract.stages, choice, models.teacher, models.student, example, columns=columns)
    except NotFused as error:
        note = not_fused(error)
        log.warning("%s", note)
        return None, (note,)
    log.info("%s", FUSED)
    return path, (FUSED,)


def _refuse_one_network(teacher: nn.Module, student: nn.Module) -> None:
    """A function that hands out the same tensors twice would make the student move its teacher."""
    if not {id(each) for each in teacher.parameters()}.isdisjoint(map(id, student.parameters())):
        raise ContractBroken(
            "SharedParameters",
            "teacher.python.factory and student.python.factory return networks that share parameters, so that training the "
            "student would change its teacher: let them return new ones at each call",
        )


def _teacher_outputs(
    config: TrainerConfig,
    contract: Contract,
    models: Models,
    data: DataSet,
    device: torch.device,
    board: ProgressBoard,
    stop: StopSignal,
    fused: FusedPath | None,
) -> Prepared:
    origin = Origin(models.teacher_digest, digest(contract.teacher.config()), data.train.content_digest())
    at_once = kit_of(config.task).evaluation_batch(config.training)
    return prepare(
        contract.outputs,
        models.teacher,
        origin,
        data.train,
        device,
        board,
        stop,
        at_once=at_once,
        fused=fused,
        precision=config.training.precision,
    )


def _train(
    config: TrainerConfig,
    contract: Contract,
    models: Models,
    teacher: TeacherOutputs,
    fused: FusedPath | None,
    data: DataSet,
    device: torch.device,
    output: Path,
    identity: Identity,
    board: ProgressBoard,
    stop: StopSignal,
    ranks: Ranks,
) -> Trained:
    kit = kit_of(config.task)
    sharded = config.training.strategy is Strategy.FSDP and ranks.world > 1
    asked = AgreedStop(stop, ranks) if sharded else stop
    reading = Reading(data.validation, device, asked, kit.evaluation_batch(config.training))
    objectives = [
        kit.objective(stage.objective, plans).to(device)
        for stage, plans in zip(config.stages, contract.stages, strict=True)
    ]
    compare_whole_steps(
        objectives,
        ranks,
        cuts=config.training.gradient_accumulation,
        smallest=smallest_part(models.student),
    )
    stages = tuple(
        StagePart(stage.name, stage.epochs, fused.objective(objective, at) if fused else objective)
        for at, (stage, objective) in enumerate(zip(config.stages, objectives, strict=True))
    )
    validation = kit.judge.validation(models.teacher, reading, config.evaluation.metric)
    if sharded:
        ranks.copy_leader(models.student)
        shard(models.student, ranks.world, device, config.training.precision)
        if contract.outputs.choice.mode is OutputsMode.ONLINE:
            shard(models.teacher, ranks.world, device, config.training.precision)
    parts = Parts(
        student=models.student,
        teacher=teacher,
        objective=stages[0].objective,
        data=data,
        training=config.training,
        validation=validation,
        device=device,
        ranks=ranks,
        curriculum=config.curriculum,
        last_layer=fused.student if fused else None,
        stages=stages if len(stages) > 1 else (),
    )
    for warning in part_warnings(parts):
        log.warning("%s", warning)
    board.stage("Training")
    return Trainer(parts, CheckpointStore(output, identity), board, stop).run()


def _merged(config: TrainerConfig, contract: Contract, models: Models) -> Adapter | None:
    """Make the student a plain model; its adapters apart, where they go with a model that lies somewhere."""
    student, base = contract.student.inner(models.student), base_of(config.student)
    adapter = adapter_of(student, base, config.task) if base else None
    merge(student)
    return adapter


def _whole(contract: Contract, models: Models, trained: Trained, device: torch.device) -> Models:
    """Both models once more, in one piece: the leader's, who compares them and writes the student."""
    student = contract.student.build(contract.signature)
    student.load_state_dict(trained.best.state)
    teacher = models.teacher
    if is_sharded(teacher):
        teacher = contract.teacher.build(contract.signature)
        contract.teacher.load(teacher)
        teacher = teacher.eval().requires_grad_(requires_grad=False).to(device)
    return replace(models, teacher=teacher, student=student.to(device))
