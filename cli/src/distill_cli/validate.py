"""`distill validate`: is a job right? The schema's judgement with lines, then the trainer's contract check on this machine.

The contract check reads what the job names (weights' headers, models' configs, data) and trains nothing. It writes
nothing either: the student's folder is looked at when the job runs.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.text import Text

from distill_api.contract import ExitCode, TrainerConfig
from distill_cli.errors import CommandError, trainer_is_missing
from distill_cli.help import Commands, add_claims, add_command
from distill_cli.jobs import Job, local_config, read_claims, read_file, said_of_data


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "validate",
        _validate,
        does="say everything that is wrong with a job, before anything runs",
        more="Faults of the schema come with file, line, field, value and remedy. Then teacher, student and data are "
        f"checked against each other, as in the cluster's check pod. Exit status: 0 all is well, {ExitCode.CONFIG_INVALID:d} "
        f"the file is wrong, {ExitCode.CONTRACT_BROKEN:d} the parts do not fit.",
        example="""
            distill validate job.yaml --claim models=./models
            distill validate --offline jobs/*.yaml
            """,
    )
    parser.add_argument("files", nargs="+", metavar="job.yaml", help="YAML files; - reads standard input")
    parser.add_argument(
        "--offline",
        action="store_true",
        help="the schema alone: no model, no data and no network are looked at",
    )
    add_claims(parser)


def _validate(arguments: argparse.Namespace, console: Console) -> int:
    claims = read_claims(arguments.claims)
    answers = [_file(file, claims, console, offline=arguments.offline) for file in arguments.files]
    codes = [code for each in answers for code in each]
    if not codes:
        files = ", ".join(arguments.files)
        raise CommandError(
            f"no DistillationJob in {files}, so there is nothing to validate; name another file"
        )
    return int(next((code for code in codes if code is not ExitCode.SUCCEEDED), ExitCode.SUCCEEDED))


def _file(file: str, claims: Mapping[str, Path], console: Console, *, offline: bool) -> list[ExitCode]:
    """What became of each job of a file; empty where it has none."""
    try:
        contents = read_file(file)
    except CommandError as error:
        _say(console, "✗", error.message)
        return [error.code]
    for sentence in contents.skipped:
        _say(console, "–", sentence)
    for fault in contents.faults:
        _say(console, "✗", fault)
    codes = [ExitCode.CONFIG_INVALID] if contents.faults else []
    return codes + [_job(job, claims, console, offline=offline) for job in contents.jobs]


def _job(job: Job, claims: Mapping[str, Path], console: Console, *, offline: bool) -> ExitCode:
    if offline:
        _say(
            console,
            "✓",
            f"{job.place}: {job.name}: the schema accepts it; the contract is not checked (--offline)",
        )
        return ExitCode.SUCCEEDED
    with tempfile.TemporaryDirectory(prefix="distill-validate-") as nowhere:
        try:
            config = local_config(job, claims, Path(nowhere))
        except CommandError as error:
            _say(console, "✗", f"{error.message}; or --offline for the schema alone")
            return error.code
        for said in said_of_data(job):
            _say(console, "–", f"{job.place}: {said}")
        code, sentence = _contract(config)
    _say(console, "✗" if code else "✓", f"{job.place}: {job.name}: {sentence}")
    return code


def _contract(config: TrainerConfig) -> tuple[ExitCode, str]:
    """The trainer's answer: what `python -m distill_trainer check` says in the cluster."""
    try:
        from distill_trainer.check import check  # noqa: PLC0415 - torch takes seconds, and only this needs it
        from distill_trainer.errors import UserError  # noqa: PLC0415
    except ImportError as error:
        raise trainer_is_missing("validate", ", or add --offline for the schema alone") from error
    try:
        return ExitCode.SUCCEEDED, check(config).sentence
    except UserError as error:
        return error.exit_code, f"{error.reason}: {error.message}"
    except Exception as error:  # noqa: BLE001 - a library's fault is no reason for a traceback here
        first = (str(error).splitlines() or [""])[0]
        return ExitCode.FAILED, f"the check itself failed ({type(error).__name__}: {first})"


_STYLES = {"✓": "green", "✗": "bold red", "–": "dim"}


def _say(console: Console, mark: str, sentences: str) -> None:
    for sentence in sentences.split("\n"):
        console.print(Text(mark, style=_STYLES[mark]), Text(sentence), soft_wrap=True)
