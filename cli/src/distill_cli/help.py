"""How every command is declared: with a sentence, a description and an example that runs as it stands."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable

from rich.console import Console

Commands = argparse._SubParsersAction  # noqa: SLF001 - argparse has no public name for what add_subparsers returns
Command = Callable[[argparse.Namespace, Console], int]
"""What a command does: options and console in, exit status out."""


def add_command(
    commands: Commands[argparse.ArgumentParser],
    name: str,
    run: Command,
    *,
    does: str,
    more: str = "",
    example: str,
) -> argparse.ArgumentParser:
    """Declare a command. `does` is its line in `distill --help`, `more` what its own help says beyond it."""
    parser = commands.add_parser(
        name,
        help=does,
        description=textwrap.fill(f"{does[:1].upper()}{does[1:]}. {more}".strip(), 100),
        epilog=f"example:\n{textwrap.indent(textwrap.dedent(example).strip(), '  ')}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def add_job_file(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """The arguments of commands that work on one job of a file."""
    says = "YAML with a DistillationJob; - reads standard input"
    parser.add_argument("file", metavar="job.yaml", nargs="?" if optional else None, help=says)
    parser.add_argument("--job", metavar="NAME", help="which job, where the file has several")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="settings",
        metavar="FIELD=VALUE",
        help="replace a field, as in spec.training.epochs=3 (repeatable)",
    )


def add_claims(parser: argparse.ArgumentParser) -> None:
    """`--claim`."""
    parser.add_argument(
        "--claim",
        action="append",
        default=[],
        dest="claims",
        metavar="NAME=DIR",
        help="the folder that stands for pvc://NAME on this machine (repeatable)",
    )
