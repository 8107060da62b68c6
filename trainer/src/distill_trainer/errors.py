"""Errors that a user can mend, each with the exit code and the reason that the operator reads.

Raised anywhere in the trainer; only `__main__` catches them, prints the one sentence and writes it as the outcome.
"""

from __future__ import annotations

from distill_api.contract import ExitCode


class UserError(Exception):
    """A fault of the input: `message` is one sentence that names field, value and remedy.

    `reason` is one CamelCase word; the operator shows it as the reason of a condition.
    """

    def __init__(self, reason: str, message: str, exit_code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.exit_code = exit_code


class ConfigInvalid(UserError):  # noqa: N818
    """trainer.json cannot be read or means nothing (exit code 64)."""

    def __init__(self, message: str, reason: str = "ConfigInvalid") -> None:
        super().__init__(reason, message, ExitCode.CONFIG_INVALID)


class ContractBroken(UserError):  # noqa: N818
    """Teacher, student, data and output do not fit each other (exit code 65)."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message, ExitCode.CONTRACT_BROKEN)


class Diverged(UserError):  # noqa: N818
    """The loss is no number any more (exit code 70)."""

    def __init__(self, message: str, reason: str = "Diverged") -> None:
        super().__init__(reason, message, ExitCode.DIVERGED)


class Disrupted(Exception):  # noqa: N818
    """SIGTERM came: the work so far is in a checkpoint (exit code 75). No fault of anybody, so no UserError."""
