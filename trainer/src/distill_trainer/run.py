"""One training run, read top to bottom: contract, data, teacher, student, training, comparison, version folder."""

from __future__ import annotations

import logging
import os
import random
from dataclasses import dataclass, replace

import numpy as np
import torch

from distill_api.contract import Outcome, TrainerConfig
from distill_api.naming import digest
from distill_api.teacher_outputs import OutputsMode
from distill_api.training import Strategy
from distill_trainer import uris
from distill_trainer.check import Contract, check
from distill_trainer.checkpoint import CheckpointStore, Identity
from distill_trainer.compiling import compiled
from distill_trainer.data import DataSet, fetched
from distill_trainer.data.elsewhere import Progress
from distill_trainer.errors import UserError
from distill_trainer.fused_path import FUSED, FusedPath, fused_path, not_fused
from distill_trainer.gathering import compare_whole_steps
from distill_trainer.judging import Reading, Validation
from distill_trainer.loop import Trainer
from distill_trainer.losses.fused import NotFused
from distill_trainer.networks import Models, load_models, whole_models, without_adapters
from distill_trainer.output import finished_version
from distill_trainer.parts import Parts, StagePart, Trained, smallest_part
from distill_trainer.parts_check import check_parts, part_warnings
from distill_trainer.progress import ProgressBoard
from distill_trainer.ranks import AgreedStop, Ranks
from distill_trainer.result import Finished, publish
from distill_trainer.sharding import shard
from distill_trainer.stop import StopSignal
from distill_trainer.tasks import kit_of
from distill_trainer.teacher_outputs import TeacherOutputs
from distill_trainer.teacher_outputs.prepare import Origin, Prepared, prepare

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ready:
    """What is there once everything is read, and before anything is trained."""

    config: TrainerConfig
    contract: Contract
    data: DataSet
    models: Models
    device: torch.device


@dataclass(frozen=True)
class Around:
    """Who is told, who may stop it, and who trains beside this process."""

    board: ProgressBoard
    stop: StopSignal
    ranks: Ranks


def train(config: TrainerConfig, board: ProgressBoard, stop: StopSignal, ranks: Ranks = Ranks()) -> Outcome:  # noqa: B008 - frozen
    """Train, compare, write: the leader does what is not training, the others wait. Raises UserError and Disrupted."""
    fetched(config.dataset, _Fetching(board, stop))
    board.fetched()
    contract = check(config)
    check_parts(config, contract.terms, ranks.world)
    _say(contract.warnings, contract.notes)
    device = seed_everything(config.training.seed)
    output = uris.resolve(config.output.uri, field="output.uri")
    data = kit_of(config.task).load(config, contract.sources)
    _refuse_other_data(data, ranks)
    contract = _with_what_was_read(contract, data)
    models = load_models(config, contract, device)
    identity = Identity(config.recipe_digest, data.digest, models.teacher_digest)
    earlier = ranks.from_leader(
        finished_version(output, identity, config.output.formats) if ranks.leads else None
    )
    if earlier:
        log.info("this recipe is trained already: %s", earlier.message)
        return earlier
    stop.check()
    ready, around = Ready(config, contract, data, models, device), Around(board, stop, ranks)
    fused, said = _fused_path(ready)
    teacher = _teacher_outputs(ready, fused, around)
    trained = _train(ready, teacher.source, fused, CheckpointStore(output, identity), around)
    contract = replace(
        contract,
        notes=(*contract.notes, *said, *teacher.notes),
        warnings=(*contract.warnings, *trained.says),
    )
    adapter = without_adapters(config, contract, models)
    if ranks.leads:
        models = whole_models(contract, models, trained, device)
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


def _say(warnings: tuple[str, ...], notes: tuple[str, ...]) -> None:
    for warning in warnings:
        log.warning("%s", warning)
    for note in notes:
        log.info("%s", note)


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
    new = tuple(note for note in data.says if note not in contract.notes)
    _say(data.warns, new)
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


def _fused_path(ready: Ready) -> tuple[FusedPath | None, tuple[str, ...]]:
    """The fused losses of a language model where they can be had, and the sentence that says which are taken."""
    contract, models, signature = ready.contract, ready.models, ready.contract.signature
    kit = kit_of(signature.task)
    if not kit.fuses:
        return None, ()
    example = kit.example(signature, 2, ready.device)
    choice, columns = contract.outputs.choice, signature.classes
    try:
        path = fused_path(contract.stages, choice, models.teacher, models.student, example, columns=columns)
    except NotFused as error:
        note = not_fused(error)
        log.warning("%s", note)
        return None, (note,)
    log.info("%s", FUSED)
    return path, (FUSED,)


def _teacher_outputs(ready: Ready, fused: FusedPath | None, around: Around) -> Prepared:
    """The teacher beside the student, or a store that holds what it says of every sample."""
    config, contract, models, train = ready.config, ready.contract, ready.models, ready.data.train
    return prepare(
        contract.outputs,
        models.teacher,
        Origin(models.teacher_digest, digest(contract.teacher.config()), train.content_digest()),
        train,
        ready.device,
        around.board,
        around.stop,
        at_once=kit_of(config.task).evaluation_batch(config.training),
        fused=fused,
        precision=config.training.precision,
    )


def _train(
    ready: Ready,
    teacher: TeacherOutputs,
    fused: FusedPath | None,
    checkpoints: CheckpointStore,
    around: Around,
) -> Trained:
    config, models, ranks = ready.config, ready.models, around.ranks
    sharded = config.training.strategy is Strategy.FSDP and ranks.world > 1
    stages = _stages(ready, fused, ranks)
    validation = _validation(ready, AgreedStop(around.stop, ranks) if sharded else around.stop)
    if sharded:
        _share(ready, ranks)
    parts = Parts(
        student=models.student,
        teacher=teacher,
        objective=stages[0].objective,
        data=ready.data,
        training=config.training,
        validation=validation,
        device=ready.device,
        ranks=ranks,
        curriculum=config.curriculum,
        last_layer=fused.student if fused else None,
        stages=stages if len(stages) > 1 else (),
    )
    _say(tuple(part_warnings(parts)), ())
    around.board.stage("Training")
    with compiled(models.student, models.teacher, ready.contract.compiled):
        return Trainer(parts, checkpoints, around.board, around.stop).run()


def _stages(ready: Ready, fused: FusedPath | None, ranks: Ranks) -> tuple[StagePart, ...]:
    """Each stage with its objective, on the device, on hidden states where the losses are fused."""
    config, kit = ready.config, kit_of(ready.config.task)
    objectives = [
        kit.objective(stage.objective, plans).to(ready.device)
        for stage, plans in zip(config.stages, ready.contract.stages, strict=True)
    ]
    cuts, smallest = config.training.gradient_accumulation, smallest_part(ready.models.student)
    compare_whole_steps(objectives, ranks, cuts=cuts, smallest=smallest)
    return tuple(
        StagePart(stage.name, stage.epochs, fused.objective(objective, at) if fused else objective)
        for at, (stage, objective) in enumerate(zip(config.stages, objectives, strict=True))
    )


def _validation(ready: Ready, stop: StopSignal) -> Validation:
    """What an epoch's student is measured by; the teacher is measured here, once."""
    config, kit = ready.config, kit_of(ready.config.task)
    reading = Reading(ready.data.validation, ready.device, stop, kit.evaluation_batch(config.training))
    return kit.judge.validation(ready.models.teacher, reading, config.evaluation.metric)


def _share(ready: Ready, ranks: Ranks) -> None:
    """Let processes share the tensors of the student, and of a teacher that runs beside it."""
    models, precision = ready.models, ready.config.training.precision
    ranks.copy_leader(models.student)
    shard(models.student, ranks.world, ready.device, precision)
    if ready.contract.outputs.choice.mode is OutputsMode.ONLINE:
        shard(models.teacher, ranks.world, ready.device, precision)
