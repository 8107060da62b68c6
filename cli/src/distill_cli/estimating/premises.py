"""From the options of `distill estimate` to networks, work and machine: counted from a job, or given on paper."""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from distill_api.contract import TrainerConfig
from distill_api.curriculum_rules import stages_of
from distill_api.teacher_outputs import DEFAULT_TOP_K, Encoding
from distill_api.training import Optimizer, Precision, Strategy, Task, Training
from distill_cli.errors import CommandError
from distill_cli.estimating.quantities import short
from distill_cli.figures import size
from distill_cli.jobs import Job, local_config, read_claims, unread_claims_of
from distill_trainer.chunks import CHUNK_ELEMENTS, chunk_rows
from distill_trainer.curriculum.pacing import share_of
from distill_trainer.estimate.inputs import Machine, Network, Shape, Work, paper_network

MFU = 0.4
"""Share of the data sheet's FLOP/s that training reaches: Llama 3 had 38 to 43 % (arXiv 2407.21783, table 4)."""
MEMORY = 80 * 2.0**30
_DATA_SHEET = {2: 989e12, 4: 67e12}
"""H100 SXM without sparsity, by bytes of a number: BF16 on tensor cores, FP32 without them."""
_BYTES = {"BF16": 2, "FP16": 2, "FP32": 4}
_PAPER_NEEDS = ("samples", "sequence", "vocabulary")


@dataclass(frozen=True)
class Premises:
    """Everything that the tables need; `said` is the machine in words, with what is assumed of it."""

    student: Network
    teacher: Network
    work: Work
    machine: Machine
    said: str
    strategy: Strategy | None = None
    """The job's; None on paper."""


def premises(options: argparse.Namespace, job: Job | None) -> Premises:
    """Raises CommandError, and UserError of the trainer where the job's models or data cannot be opened."""
    element = _element(options, job)
    if (options.student_parameters is None) != (options.teacher_parameters is None):
        raise CommandError("on paper both are needed: give --teacher-parameters and --student-parameters")
    if options.student_parameters is not None:
        return _on_paper(options, job, element)
    if job is None:
        raise CommandError(
            "name a job.yaml, or plan on paper with --teacher-parameters 70B --student-parameters 8B"
        )
    return replace(_counted(options, job, element), strategy=job.spec.training.strategy)


def _on_paper(options: argparse.Namespace, job: Job | None, element: int) -> Premises:
    needed = [*_PAPER_NEEDS, *([] if job else ["batch_size"])]
    missing = [f"--{name.replace('_', '-')}" for name in needed if getattr(options, name) is None]
    if missing:
        raise CommandError(f"on paper nothing is looked up: give {', '.join(missing)}, too")
    if job is not None and job.spec.student.lora is not None:
        raise CommandError(
            f"{job.place}: spec.student.lora: adapters are counted in the job's own networks, and on paper there are none: leave "
            "--teacher-parameters and --student-parameters out, or remove lora"
        )
    if options.measure:
        raise CommandError(
            "--measure times the job's own networks, and on paper there are none: give --flops and --mfu"
        )
    student, teacher = (
        paper_network(
            f"on paper, {shape.layers} layers {shape.width:,} wide",
            parameters,
            shape,
            positions=options.sequence,
            classes=options.vocabulary,
            element=element,
            checkpointing=options.checkpointing and is_student,
        )
        for parameters, shape, is_student in (
            (options.student_parameters, _shape(options.student_shape, options.student_parameters), True),
            (options.teacher_parameters, _shape(options.teacher_shape, options.teacher_parameters), False),
        )
    )
    work = _work(options, job, element, options.samples, options.sequence, options.vocabulary)
    return Premises(student, teacher, work, *_assumed(options, job, element))


def _counted(options: argparse.Namespace, job: Job, element: int) -> Premises:
    given = [
        name
        for name in ("student_shape", "teacher_shape", "vocabulary", "checkpointing")
        if getattr(options, name)
    ]
    if given:
        raise CommandError(
            f"--{given[0].replace('_', '-')} is for a plan on paper: the job's own networks are counted; add "
            "--teacher-parameters and --student-parameters, or leave it out"
        )
    if options.sequence and job.spec.task is Task.IMAGE_CLASSIFICATION:
        raise CommandError("--sequence is the length of texts, and the job is about pictures: leave it out")
    from distill_trainer.estimate.count import count_job  # noqa: PLC0415 - torch takes seconds

    config = _config(options, job)
    counted = count_job(config, element, options.sequence)
    samples = options.samples or counted.samples
    work = _work(options, job, element, samples, counted.positions, counted.classes)
    if not options.measure:
        return Premises(counted.student, counted.teacher, work, *_assumed(options, job, element))
    if options.flops or options.mfu:
        raise CommandError("--flops and --mfu are what --measure finds out: give them, or --measure")
    from distill_trainer.estimate.measure import measure  # noqa: PLC0415

    found = measure(config, counted, work.micro(_ranks(options, job)), options.sequence)
    machine = Machine(_ranks(options, job), options.memory or MEMORY, found.peak, found.utilisation)
    said = (
        f"{machine.ranks} × {size(machine.memory)}; measured here on {found.device}: {short(found.peak, 'G')}FLOP/s in a matrix "
        f"product, of which distilling reaches {found.utilisation:.0%}"
    )
    return Premises(counted.student, counted.teacher, work, machine, said)


def _assumed(options: argparse.Namespace, job: Job | None, element: int) -> tuple[Machine, str]:
    machine = Machine(
        _ranks(options, job),
        options.memory or MEMORY,
        options.flops or _DATA_SHEET[element],
        options.mfu or MFU,
    )
    sheet = "" if options.flops else " (H100 SXM by its data sheet)"
    words = "taken as given" if options.flops and options.mfu else "assumed"
    said = (
        f"{machine.ranks} × {size(machine.memory)}; {words}: {short(machine.peak, 'G')}FLOP/s{sheet}, of which "
        f"{machine.utilisation:.0%} are reached"
    )
    return machine, said


def _work(
    options: argparse.Namespace, job: Job | None, element: int, samples: int, positions: int, classes: int
) -> Work:
    training = _training(job)
    return Work(
        samples=samples,
        positions=positions,
        classes=classes,
        epochs=options.epochs or _epochs(job),
        batch=options.batch_size or training.batch_size,
        element=element,
        moments=2 if training.optimizer is Optimizer.ADAMW else 1,
        micro_batch=options.micro_batch,
        chunk=options.chunk or (chunk_rows(CHUNK_ELEMENTS, classes) if fuses(job, positions) else None),
        cuts=training.gradient_accumulation,
        vectors=job is not None and job.spec.task is Task.EMBEDDING,
        top_k=options.top_k or (job and job.spec.teacher_outputs.top_k) or DEFAULT_TOP_K,
    )


def fuses(job: Job | None, positions: int) -> bool:
    """Whether the losses never hold logits over the whole vocabulary: docs/language-models.md says when."""
    if job is None:
        return positions > 1
    from distill_trainer.losses.fused.objective import FUSED_TYPES  # noqa: PLC0415 - torch takes seconds
    from distill_trainer.tasks import kit_of  # noqa: PLC0415

    over_logits = [term for term in job.spec.objective.effective_terms if not term.pairs]
    fused = len(over_logits) < 2 and all(term.type in FUSED_TYPES for term in over_logits)
    stored = job.spec.teacher_outputs.encoding in {Encoding.DENSE, Encoding.SAMPLED}
    return kit_of(job.spec.task).fuses and fused and not stored


def _training(job: Job | None) -> Training:
    """The job's; one pass over the data on paper."""
    return job.spec.training if job else Training(epochs=1)


def _epochs(job: Job | None) -> float:
    """Those of all stages, each by the share of the samples that it takes."""
    if job is None:
        return 1
    spec = job.spec
    count = sum(stage.epochs for stage in stages_of(spec.curriculum, spec.objective, spec.training))
    sampling = spec.curriculum.sampling if spec.curriculum else None
    return sum(share_of(epoch + 1, sampling) for epoch in range(count))


def _element(options: argparse.Namespace, job: Job | None) -> int:
    """Bytes of a number in the passes: as asked for, as the job says, 16 bits on paper."""
    said = job.spec.training.precision if job else Precision.BF16
    return _BYTES[options.precision or said.value]


def _ranks(options: argparse.Namespace, job: Job | None) -> int:
    """As asked for, or the job's GPUs on all its nodes."""
    if options.gpus:
        return int(options.gpus)
    if job is None:
        return 1
    return max(job.spec.resources.gpus_per_node, 1) * job.spec.resources.nodes


def _shape(given: tuple[int, int] | None, parameters: float) -> Shape:
    return Shape(*given) if given else Shape.of(parameters)


def _config(options: argparse.Namespace, job: Job) -> TrainerConfig:
    """Weights are not read, so a claim that has nothing else needs no folder here. Raises CommandError for the others."""
    nowhere = Path(tempfile.gettempdir()) / "no-such-claim"
    claims = {name: nowhere / name for name in unread_claims_of(job)} | read_claims(options.claims)
    return local_config(job, claims, nowhere)
