"""Runs a command and turns every end into an exit code, one sentence and the termination message."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from distill_api.contract import ExitCode, Outcome, TrainerConfig
from distill_api.status import Progress
from distill_trainer import outcome
from distill_trainer.check import check
from distill_trainer.config import read_config
from distill_trainer.errors import Disrupted, UserError
from distill_trainer.launch import planned_world
from distill_trainer.parts_check import check_parts
from distill_trainer.progress import ProgressBoard
from distill_trainer.ranks import joined, leads
from distill_trainer.run import train
from distill_trainer.serve_progress import serving
from distill_trainer.stop import StopSignal

log = logging.getLogger(__name__)
Watch = Callable[[Progress], None]


def run(command: str, config: Path, stop: StopSignal, watch: Watch | None = None) -> ExitCode:
    """Run `check` or `train`; `watch` is told of every change of the progress. Never raises."""
    code, answer = _guarded(command, config, stop, watch)
    if leads():
        outcome.write(answer)
    if code is not ExitCode.SUCCEEDED:
        print(answer.message, file=sys.stderr)
    return code


def _guarded(command: str, path: Path, stop: StopSignal, watch: Watch | None) -> tuple[ExitCode, Outcome]:
    try:
        config = read_config(path)
        answer = _check(config) if command == "check" else _train(config, stop, watch)
    except UserError as error:
        return error.exit_code, outcome.outcome(error.reason, error.message)
    except Disrupted as end:
        return ExitCode.DISRUPTED, outcome.outcome("Disrupted", str(end))
    except Exception as error:
        log.exception("unexpected")
        return ExitCode.FAILED, outcome.outcome("Unexpected", _unexpected(error))
    log.info("%s", answer.message)
    return ExitCode.SUCCEEDED, answer


def _check(config: TrainerConfig) -> Outcome:
    contract = check(config)
    check_parts(config, contract.terms, planned_world(os.environ))
    return outcome.outcome("ContractValid", contract.sentence)


def _train(config: TrainerConfig, stop: StopSignal, watch: Watch | None) -> Outcome:
    with joined() as ranks:
        board = ProgressBoard(watch if ranks.leads else None)
        pages = serving(board, metric=config.evaluation.metric.value) if ranks.leads else nullcontext()
        with pages:
            try:
                return train(config, board, stop, ranks)
            finally:
                board.close()


def _unexpected(error: Exception) -> str:
    first = (str(error).splitlines() or [""])[0]
    return f"the trainer failed unexpectedly ({type(error).__name__}: {first}); its log has the details"
