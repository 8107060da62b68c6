"""The `distill` program: its commands, and how every end of them becomes an exit status. Installed as `distill`.

Commands about one job need no cluster (`validate`, `estimate`, `run`, `sweep`, `report`); the others are about a local one.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from rich.console import Console

from distill_cli import cluster, report, validate
from distill_cli.errors import CommandError
from distill_cli.estimating import command as estimate
from distill_cli.help import Command
from distill_cli.sweeping import command as sweep
from distill_cli.training import command as run
from distill_local.errors import LocalClusterError

_INTERRUPTED = 130
_TRACEBACK = "DISTILL_TRACEBACK"
_NARROW = 120
"""Columns of what is printed into a file or a log."""
_FLOW = """\
a job without a cluster:
  distill validate job.yaml     is it right? every fault with its line and what to do
  distill estimate job.yaml     what will it cost? memory, cache, time
  distill run job.yaml          train on this machine; Ctrl-C, and the same command goes on
  distill sweep job.yaml        which temperature, alpha, learning rate? one teacher for all
  distill report out/           student against teacher, once more

`distill COMMAND --help` explains each, with an example."""


def parser() -> argparse.ArgumentParser:
    """Return the command line's grammar."""
    program = argparse.ArgumentParser(
        prog="distill",
        description="Knowledge distillation: a small model learns from a large one, on Kubernetes or on this machine.",
        epilog=_FLOW,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = program.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (validate, estimate, run, sweep, report, cluster):
        module.add(commands)
    return program


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status; an error of ours is a sentence, never a traceback."""
    arguments = parser().parse_args(argv)
    command: Command = arguments.run
    try:
        return command(arguments, Console(width=None if sys.stdout.isatty() else _NARROW))
    except CommandError as error:
        return _failed(error.message, error.code)
    except LocalClusterError as error:
        return _failed(str(error), 1)
    except Exception as error:  # noqa: BLE001 - whatever it is, a user reads a sentence
        return _unexpected(error)
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted. Run the same command again to go on.\n")
        return _INTERRUPTED


def _unexpected(error: Exception) -> int:
    if os.environ.get(_TRACEBACK):
        raise error
    first = (str(error).splitlines() or [""])[0]
    return _failed(
        f"this is a fault of distill itself ({type(error).__name__}: {first}); {_TRACEBACK}=1 shows where", 1
    )


def _failed(message: str, code: int) -> int:
    console = Console(stderr=True)
    console.print("Error:", style="bold red", end=" ")
    console.print(message, highlight=False, soft_wrap=True, markup=False)
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
