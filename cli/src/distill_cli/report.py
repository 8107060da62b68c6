"""`distill report`: the figures of a finished run once more, from its folder, and where its page is."""

from __future__ import annotations

import argparse
import webbrowser
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console

from distill_api.contract import ExitCode, Outcome
from distill_api.status import Result
from distill_cli.errors import CommandError
from distill_cli.figures import comparison, show_measured_on, show_places
from distill_cli.help import Commands, add_command

_RESULT = "result.json"


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "report",
        _report,
        does="show student against teacher once more, and where report.html is",
        more="DIR is a version's folder, or an output folder, of which the newest version is shown.",
        example="""
            distill report out/
            distill report out/versions/0123456789ab --open
            """,
    )
    parser.add_argument(
        "folder", metavar="DIR", type=Path, help="output folder, or the folder of one version"
    )
    parser.add_argument("--open", action="store_true", help="open report.html in the browser")


def _report(arguments: argparse.Namespace, console: Console) -> int:
    version, others = _version(arguments.folder)
    result = _read(version / _RESULT)
    console.print(comparison(result))
    show_measured_on(console, result)
    show_places(console, version)
    if others:
        console.print(f"older    {', '.join(others)}", highlight=False, soft_wrap=True, markup=False)
    if arguments.open and not webbrowser.open((version / "report.html").resolve().as_uri()):
        raise CommandError(
            "no browser could be started here; open the report's path by hand", ExitCode.FAILED
        )
    return 0


def _version(folder: Path) -> tuple[Path, list[str]]:
    """The version to show, and the names of older ones beside it."""
    if (folder / _RESULT).is_file():
        return folder, []
    found = sorted(
        (folder / "versions").glob(f"*/{_RESULT}"), key=lambda file: file.stat().st_mtime, reverse=True
    )
    if found:
        return found[0].parent, [file.parent.name for file in found[1:]]
    if not folder.is_dir():
        raise CommandError(f"there is no folder {folder}; name the output folder of a run")
    raise CommandError(
        f"{folder} holds no {_RESULT} and no versions/: name the output folder of a finished run"
    )


def _read(file: Path) -> Result:
    try:
        outcome = Outcome.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        first = str(error).splitlines()[0]
        raise CommandError(
            f"{file} cannot be read as a result ({first}); run the job again to have it written"
        ) from error
    if outcome.result is None:
        raise CommandError(f"{file} has no figures ({outcome.reason}: {outcome.message}); run the job again")
    return outcome.result
