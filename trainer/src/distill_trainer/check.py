"""The contract check: do teacher, student, data and output fit each other? Seconds, no GPU, no training.

It reads headers, configs and sizes, and sends one batch through both networks on the meta device, which has shapes
but no numbers. The first fault is raised with a reason of its own; what is odd but allowed is returned as warnings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from distill_api.contract import TrainerConfig
from distill_api.teacher_outputs import OutputsMode
from distill_trainer import uris
from distill_trainer.checkpointing import check_checkpointing
from distill_trainer.compiling import CompilePlan, plan_compiling
from distill_trainer.curriculum.pacing import samples_of
from distill_trainer.curriculum.words import objective_field
from distill_trainer.data import Description
from distill_trainer.errors import ContractBroken
from distill_trainer.export import check_installed
from distill_trainer.lora import base_of, check_lora
from distill_trainer.losses import TermPlan
from distill_trainer.models import ModelSource, Signature, count_parameters, open_models
from distill_trainer.models.class_names import class_order
from distill_trainer.models.from_teacher import LayerCopy, plan_copy
from distill_trainer.output import check_writable
from distill_trainer.plan import Networks, plan_terms, term_warnings
from distill_trainer.shapes_alone import shapes_alone
from distill_trainer.tasks import Sources, TaskKit, kit_of
from distill_trainer.teacher_outputs.planning import OutputsPlan, plan_outputs
from distill_trainer.weights import as_own, compare_shapes, input_layer_fault

NO_GPU = "No GPU was requested."


@dataclass(frozen=True)
class Contract:
    """What was checked and found to fit; `warnings` and `notes` (of the data and the teacher's outputs) are sentences."""

    data: Description
    teacher: ModelSource
    student: ModelSource
    teacher_parameters: int
    student_parameters: int
    warnings: tuple[str, ...]
    stages: tuple[tuple[TermPlan, ...], ...]
    """The terms of each stage."""
    outputs: OutputsPlan
    signature: Signature
    samples_are: str
    notes: tuple[str, ...] = ()
    copied: LayerCopy | None = None
    """Where the student starts as layers of the teacher."""
    compiled: CompilePlan | None = None

    @property
    def terms(self) -> tuple[TermPlan, ...]:
        """The terms of all stages."""
        return tuple(term for stage in self.stages for term in stage)

    @property
    def sources(self) -> Sources:
        """Both models' sources."""
        return Sources(self.teacher, self.student)

    @property
    def sentence(self) -> str:
        """What the check says where all is well."""
        text = (
            f"teacher {self.teacher.name} ({self.teacher_parameters:,} parameters) and student {self.student.name} "
            f"({self.student_parameters:,}) fit {self.data.name}: {kit_of(self.signature.task).described(self.signature)}, "
            f"{self.data.sizes['train']:,} training samples of {self.samples_are}"
        )
        return "; ".join([text, *self.warnings, *self.notes])


def check(config: TrainerConfig) -> Contract:
    """Check everything that can be known before training. Raises UserError at the first fault."""
    kit = kit_of(config.task)
    teacher, student = open_models(config.teacher, config.student)
    teacher.check_files()
    student.check_files()
    data = kit.describe(config, Sources(teacher, student))
    signature = kit.signature(data)
    _check_splits(data)
    if kit.classes_have_names:
        _refuse_one_class(data)
        _check_classes(teacher, data, "teacher")
        _check_classes(student, data, "student")
    order = _check_class_order(teacher, signature, data)
    networks, widths = zip(
        *(
            _on_meta(source, data, kit, field)
            for source, field in ((teacher, "teacher"), (student, "student"))
        ),
        strict=True,
    )
    if config.training.activation_checkpointing:
        check_checkpointing(networks[1], student.name)
    init = config.student.init_from_teacher
    copied = plan_copy(networks[0], networks[1], init) if init else None
    pair = Networks(networks[0], networks[1], kit.example(signature, 2, torch.device("meta")))
    stages = tuple(
        plan_terms(
            stage.objective,
            pair,
            widths=(widths[0], widths[1]),
            samples=data.sizes["train"],
            at=objective_field(config, index),
        )
        for index, stage in enumerate(config.stages)
    )
    terms = tuple(term for stage in stages for term in stage)
    check_installed(config.output.formats)
    check_writable(uris.resolve(config.output.uri, field="output.uri"), config.output.uri)
    outputs = plan_outputs(config, data, pair, terms, classes=widths[0])
    sizes = [count_parameters(network) for network in networks]
    fresh = _fresh_said(student, networks[1])
    adapted = _adapters(config, student, networks[1])
    compiled = _compiled(config, pair, terms, outputs)
    warnings = (*_warnings(config, data, *sizes), *kit.warnings(config, Sources(teacher, student), signature))
    return Contract(
        data,
        teacher,
        student,
        sizes[0],
        sizes[1],
        warnings,
        stages,
        outputs,
        signature,
        kit.samples_are(data),
        (*data.says, *order, outputs.choice.note, *fresh, *adapted, *([compiled.says] if compiled else [])),
        copied,
        compiled,
    )


def _fresh_said(student: ModelSource, network: nn.Module) -> tuple[str, ...]:
    names = student.fresh(student.inner(network))
    if not names:
        return ()
    return (
        f"student {student.name}: {', '.join(names)} start fresh, since {student.weights_name} is for another number of classes",
    )


def _adapters(config: TrainerConfig, student: ModelSource, network: nn.Module) -> tuple[str, ...]:
    lora = config.student.lora
    if lora is None:
        return ()
    trained = bool(student.weights_name) or config.student.init_from_teacher is not None
    strategy = config.training.strategy
    base = base_of(config.student)
    network = student.inner(network)
    return (check_lora(lora, network, name=student.name, trained=trained, strategy=strategy, base=base),)


def _compiled(
    config: TrainerConfig, networks: Networks, terms: tuple[TermPlan, ...], outputs: OutputsPlan
) -> CompilePlan | None:
    if not config.training.compile:
        return None
    beside = outputs.choice.mode is OutputsMode.ONLINE
    # The fused losses leave a language model's last layer out of it, which a network that is compiled as one could not.
    return plan_compiling(networks, terms, beside=beside, whole=not kit_of(config.task).fuses)


def _check_splits(data: Description) -> None:
    for split, size in data.sizes.items():
        if size == 0:
            raise ContractBroken(
                "EmptySplit",
                f'the {split} split of dataset "{data.name}" has no samples: give it some, or name another in dataset.splits.{split}',
            )


def _refuse_one_class(data: Description) -> None:
    if len(data.classes) == 1:
        raise ContractBroken(
            "TooFewClasses",
            f'dataset "{data.name}" has one class alone ({data.classes[0]!r}): every prediction would be right; add samples of '
            "others, or name the column or folders of the classes",
        )


def _check_classes(source: ModelSource, data: Description, field: str) -> None:
    found = source.trained_classes()
    if found is None or found[1] == len(data.classes):
        return
    head, classes = found
    raise ContractBroken(
        "ClassCountMismatch",
        f'{field} predicts {classes} classes (head "{head}", weights {source.weights_name}), dataset "{data.name}" has '
        f"{len(data.classes)} labels; use a {field} trained on these labels, or set dataset.columns.label. {NO_GPU}",
    )


def _check_class_order(teacher: ModelSource, signature: Signature, data: Description) -> tuple[str, ...]:
    """A sentence where the teacher's outputs are not plainly in the data's order; builtin teachers have the data's own."""
    names = teacher.class_names()
    if names is None or not signature.names:
        return ()
    found = class_order(names, signature.names)
    if found.fault:
        raise ContractBroken(
            "ClassNamesMismatch",
            f'teacher {teacher.name} {found.fault}; give id2label of its config.json the names of dataset "{data.name}", in '
            f"the order of its outputs. {NO_GPU}",
        )
    return (f"teacher {teacher.name} {found.said}",) if found.said else ()


@shapes_alone()
def _on_meta(source: ModelSource, data: Description, kit: TaskKit, field: str) -> tuple[nn.Module, int]:
    """The network on the meta device after its weights' shapes and one forward pass were found to fit; its outputs' width."""
    meta = torch.device("meta")
    signature = kit.signature(data)
    with meta:
        network = source.build(signature)
    shapes = source.trained_shapes()
    if shapes is not None:
        inner = source.inner(network)
        shapes = as_own(inner, shapes, source.fresh(inner))
        fault = input_layer_fault(inner, shapes)
        if fault:
            raise _input_mismatch(source, data, kit, field, f"{source.weights_name} has {fault}")
        compare_shapes(inner, shapes, source.weights_name, field=f"{field}.weights.uri")
    try:
        logits = network.eval()(kit.example(signature, 2, meta))
    except Exception as error:  # a network's own code may raise anything
        raise _input_mismatch(
            source, data, kit, field, (str(error).splitlines() or [repr(error)])[0]
        ) from error
    _check_logits(logits, signature, source, data, kit, field)
    return network, int(logits.shape[-1])


def _check_logits(
    logits: Any, signature: Signature, source: ModelSource, data: Description, kit: TaskKit, field: str
) -> None:
    if not isinstance(logits, Tensor):
        detail = f"it returns a {type(logits).__name__} instead of a tensor of logits"
        raise _input_mismatch(source, data, kit, field, detail)
    if kit.fits(logits, signature, 2):
        return
    columns = logits.shape[-1] if logits.dim() else 0
    if kit.fits(logits.new_empty(*logits.shape[:-1], signature.classes), signature, 2):
        raise ContractBroken(
            "ClassCountMismatch",
            f'{field} {source.name} gives {columns} logits, dataset "{data.name}" has {kit.described(signature)}; use a {field} '
            f"of as many. {NO_GPU}",
        )
    raise _input_mismatch(source, data, kit, field, f"its logits are {list(logits.shape)}")


def _input_mismatch(
    source: ModelSource, data: Description, kit: TaskKit, field: str, detail: str
) -> ContractBroken:
    return ContractBroken(
        "InputShapeMismatch",
        f'{field} {source.name} does not take the samples of dataset "{data.name}" ({kit.samples_are(data)}): {detail}; '
        f"use a {field} for such samples. {NO_GPU}",
    )


def _warnings(config: TrainerConfig, data: Description, teacher: int, student: int) -> Iterator[str]:
    if student > teacher:
        yield f"student is larger than teacher ({student:,} against {teacher:,} parameters): nothing is compressed"
    for index, stage in enumerate(config.stages):
        field = objective_field(config, index)
        if stage.objective.alpha == 1:
            yield f"{field}.alpha is 1: the teacher has no effect, the student learns from the labels alone"
        yield from term_warnings(stage.objective, field)
    sampling = config.curriculum.sampling if config.curriculum else None
    if sampling and samples_of(1, sampling, data.sizes["train"]) < config.training.batch_size:
        yield (
            f"curriculum.sampling.startFraction {sampling.start_fraction:g} of {data.sizes['train']} training samples is less than "
            f"training.batchSize {config.training.batch_size}: the first epoch is one step"
        )
    elif config.training.batch_size > data.sizes["train"]:
        yield (
            f"training.batchSize {config.training.batch_size} is more than the {data.sizes['train']} training samples: "
            "each epoch is one step"
        )
