"""`distill run`: what the operator does for a job, on this machine: trains in a child process, compares, judges."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path
from urllib.parse import unquote

from rich.console import Console

from distill_api.contract import ExitCode, TrainerConfig
from distill_cli.errors import CommandError, trainer_is_missing
from distill_cli.help import Commands, add_claims, add_command, add_job_file
from distill_cli.jobs import Job, local_config, one_job, read_claims, said_of_data
from distill_cli.jobs.settings import read_setting
from distill_cli.training.ending import tell_end, train
from distill_cli.training.processes import gpus_here, processes_here, refuse_shared_gpus
from distill_cli.training.show import Display, display

LOG = "run.log"
_JUDGED_HERE = {"gate"}


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "run",
        _run,
        does="train a job on this machine, without a cluster",
        more="Ctrl-C writes a checkpoint and ends; the same command goes on from it. At the end: student against "
        "teacher, the report, and the gate's verdict. Exit status: 0 trained and passed, 1 failed or not passed, "
        f"{ExitCode.CONFIG_INVALID:d} the file is wrong, {ExitCode.CONTRACT_BROKEN:d} the parts do not fit, "
        f"{ExitCode.DIVERGED:d} the loss was lost, {ExitCode.DISRUPTED:d} stopped with a checkpoint.",
        example="""
            distill run job.yaml --claim models=./models --set spec.training.epochs=3
            distill run job.yaml --output out/ --json | jq .losses.total
            """,
    )
    add_job_file(parser)
    add_claims(parser)
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="folder to write to, instead of spec.output.uri"
    )
    parser.add_argument(
        "--processes",
        type=_count,
        metavar="N",
        help="train with N processes; without it one for each GPU of spec.resources.gpusPerNode that this machine has",
    )
    parser.add_argument("--json", action="store_true", help="JSON lines: progress, log, outcome and gate")


def _run(arguments: argparse.Namespace, console: Console) -> int:
    settings = [read_setting(text) for text in arguments.settings]
    job = one_job(arguments.file, arguments.job, settings)
    config = local_config(job, read_claims(arguments.claims), arguments.output)
    if importlib.util.find_spec("distill_trainer") is None:
        raise trainer_is_missing("run")
    log = _log_file(job, config)
    shown = display(console, as_json=arguments.json)
    ignored = without_effect(job)
    if ignored:
        shown.note(f"without a cluster these have no effect: {', '.join(ignored)}")
    for sentence in said_of_data(job):
        shown.note(sentence)
    count = _processes(job, arguments.processes, shown)
    ended = train(config, log, shown, count)
    return tell_end(ended, job.spec.gate, shown)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes: give 1 or more")
    return int(text)


def _processes(job: Job, wanted: int | None, shown: Display) -> int:
    """As many as the user wants, else as the job and this machine make them; says what is out of the ordinary."""
    asked = job.spec.resources.gpus_per_node
    if wanted is not None:
        if wanted > 1:
            refuse_shared_gpus(wanted, gpus_here())
        return wanted
    count, sentence = processes_here(asked, gpus_here() if asked > 1 else 0)
    if sentence:
        shown.note(sentence)
    return count


def without_effect(job: Job) -> list[str]:
    """Fields that the user wrote and that neither the trainer, the gate nor this program reads."""
    read = {field.alias or name for name, field in TrainerConfig.model_fields.items()} | _JUDGED_HERE
    return [field for name in job.given if name not in read for field in _unread(job, name)]


def _unread(job: Job, name: str) -> list[str]:
    if name != "resources":
        return [f"spec.{name}"]
    return [f"spec.resources.{part}" for part in job.given[name] if part != "gpusPerNode"]


def _log_file(job: Job, config: TrainerConfig) -> Path:
    """Where the trainer's log goes: beside what it writes, where that is a folder of this machine."""
    uri = config.output.uri
    local = uri.startswith("file://")
    log = Path(unquote(uri.removeprefix("file://"))) / LOG if local else Path(f"{job.name}.log")
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
    except OSError as error:
        raise CommandError(
            f"{job.place}: spec.output.uri: {log.parent} cannot be written: {error.strerror}; choose another with --output DIR",
            ExitCode.CONTRACT_BROKEN,
        ) from error
    return log
