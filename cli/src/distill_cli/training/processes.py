"""How many processes train on this machine: as many as the job asks GPUs for and there are, or as the user says."""

from __future__ import annotations

import importlib

from distill_api.contract import ExitCode
from distill_cli.errors import CommandError


def gpus_here() -> int:
    """GPUs that the trainer would see."""
    return int(
        importlib.import_module("torch").cuda.device_count()
    )  # takes seconds: not before somebody asks


def processes_here(asked: int, here: int) -> tuple[int, str]:
    """Processes for a job that asks for `asked` GPUs on a machine with `here`, and the sentence that says it, where there is one to say."""
    if asked <= 1:
        return 1, ""
    count = max(1, min(asked, here))
    if here >= asked:
        return count, f"{count} processes train, one on each GPU that spec.resources.gpusPerNode asks for"
    found = {0: "no GPU: one process trains, on the CPU", 1: "one GPU: one process trains"}.get(
        here, f"{here} GPUs: {here} processes train"
    )
    return (
        count,
        f"spec.resources.gpusPerNode is {asked}, and this machine has {found}; a step has spec.training.batchSize samples all the same",
    )


def refuse_shared_gpus(processes: int, here: int) -> None:
    """Raise CommandError for more processes than GPUs: two cannot talk to each other on one. On a CPU any number can."""
    if 0 < here < processes:
        raise CommandError(
            f"--processes {processes}: this machine has {here} GPU{'s' * (here > 1)}, and a process needs one of its own; use at most {here}",
            ExitCode.CONFIG_INVALID,
        )
