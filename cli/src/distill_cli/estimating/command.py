"""`distill estimate`: memory of each rank, size of the stored teacher outputs and time, before anything runs."""

from __future__ import annotations

import argparse

from rich.console import Console

from distill_api.teacher_outputs import DEFAULT_TOP_K
from distill_cli.errors import CommandError, trainer_is_missing
from distill_cli.estimating import quantities
from distill_cli.help import Commands, add_claims, add_command, add_job_file
from distill_cli.jobs import one_job, said_of_data
from distill_cli.jobs.settings import read_setting


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "estimate",
        _estimate,
        does="say what a job will cost, before it runs: memory, stored outputs, time",
        more="Its networks are built without numbers and counted; or both are given by their size alone, for a plan on "
        "paper. docs/scale.md has the formulas and their sources.",
        example="""
            distill estimate job.yaml --gpus 4 --memory 24GiB --measure
            distill estimate --teacher-parameters 70B --student-parameters 8B --samples 5M --sequence 4096 \\
                --vocabulary 128256 --batch-size 1024 --micro-batch 1 --gpus 64
            """,
    )
    add_job_file(parser, optional=True)
    add_claims(parser)
    _add_machine(parser.add_argument_group("the machine"))
    _add_paper(parser.add_argument_group("on paper, instead of the job's own networks and data"))
    _add_training(
        parser.add_argument_group("how it is trained, where the job says something else or nothing")
    )


def _add_machine(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--gpus", type=quantities.whole, metavar="N", help="ranks at most (default: the job's GPUs)"
    )
    group.add_argument(
        "--memory", type=quantities.memory, metavar="80GiB", help="of each rank (default: 80GiB)"
    )
    group.add_argument(
        "--flops", type=quantities.flops, metavar="989T", help="of each rank (default: an H100's data sheet)"
    )
    group.add_argument(
        "--mfu", type=quantities.share, metavar="0.4", help="share of --flops reached (default: 0.4)"
    )
    group.add_argument(
        "--measure", action="store_true", help="time the job's networks here, instead of --flops and --mfu"
    )
    group.add_argument(
        "--teacher-gpus",
        type=quantities.whole,
        metavar="M",
        help="ranks with the teacher alone (default: its share of the work)",
    )


def _add_paper(group: argparse._ArgumentGroup) -> None:
    for who in ("teacher", "student"):
        group.add_argument(
            f"--{who}-parameters", type=quantities.count, metavar="8B", help=f"size of the {who}"
        )
        group.add_argument(
            f"--{who}-shape",
            type=quantities.shape,
            metavar="32x4096",
            help="layers and width (default: what that size usually has)",
        )
    group.add_argument("--samples", type=quantities.whole, metavar="5M", help="samples of the training data")
    group.add_argument(
        "--sequence",
        type=quantities.whole,
        metavar="4096",
        help="tokens of a sample; 1 for pictures (a job: where its texts are cut)",
    )
    group.add_argument("--vocabulary", type=quantities.whole, metavar="128256", help="tokens, or classes")


def _add_training(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--epochs", type=float, metavar="E", help="passes over the data (default: the job's, 1 on paper)"
    )
    group.add_argument(
        "--batch-size", type=quantities.whole, metavar="B", help="samples of an optimizer step, all ranks"
    )
    group.add_argument(
        "--micro-batch",
        type=quantities.whole,
        metavar="B",
        help="samples of a rank at once (default: its share of a batch, cut as the job says)",
    )
    group.add_argument(
        "--precision",
        choices=["FP32", "BF16", "FP16"],
        help="of the passes (default: the job's, BF16 on paper)",
    )
    group.add_argument(
        "--checkpointing", action="store_true", help="the student's activations are computed twice, not kept"
    )
    group.add_argument(
        "--chunk",
        type=quantities.whole,
        metavar="P",
        help="positions whose logits exist at once (default: what the trainer takes)",
    )
    group.add_argument(
        "--top-k",
        type=quantities.whole,
        metavar="K",
        help=f"classes that TopK stores (default: the job's, {DEFAULT_TOP_K} on paper)",
    )


def _estimate(arguments: argparse.Namespace, console: Console) -> int:
    try:
        from distill_cli.estimating import tables  # noqa: PLC0415 - the trainer may not be there
        from distill_cli.estimating.premises import premises  # noqa: PLC0415
        from distill_trainer.errors import UserError  # noqa: PLC0415
    except ImportError as error:
        raise trainer_is_missing("estimate") from error
    settings = [read_setting(text) for text in arguments.settings]
    job = one_job(arguments.file, arguments.job, settings) if arguments.file else None
    if job is not None and arguments.student_parameters is None:
        for sentence in said_of_data(job):
            console.print(sentence, highlight=False, markup=False, soft_wrap=True)
    try:
        found = premises(arguments, job)
    except UserError as error:
        raise CommandError(
            f"{job.place if job else ''}: {error.reason}: {error.message}", error.exit_code
        ) from error
    parts = (found.student, found.teacher, found.work)
    if arguments.teacher_gpus and arguments.teacher_gpus >= found.machine.ranks:
        raise CommandError(
            f"--teacher-gpus {arguments.teacher_gpus} leaves none of {found.machine.ranks} ranks to the student: give fewer, "
            "or more --gpus"
        )
    tables.show_premises(console, *parts, found.said)
    tables.show_ranks(console, *parts, found.machine, found.strategy)
    tables.show_encodings(console, *parts, found.machine)
    tables.show_apart(console, *parts, found.machine, arguments.teacher_gpus)
    return 0
