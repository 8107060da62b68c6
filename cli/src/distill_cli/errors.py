"""What a command of ours ends with when it cannot go on: one sentence and an exit status. Caught by `main` alone."""

from __future__ import annotations

from distill_api.contract import ExitCode


class CommandError(Exception):
    """`message` is one sentence (or several lines of them) with field, value and remedy."""

    def __init__(self, message: str, code: ExitCode = ExitCode.CONFIG_INVALID) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


def trainer_is_missing(command: str, way_out: str = "") -> CommandError:
    """The command line is installed without the trainer and its PyTorch."""
    return CommandError(
        f"`distill {command}` needs the trainer, which is not installed: pip install 'distill-cli[trainer]'{way_out}",
        ExitCode.FAILED,
    )
