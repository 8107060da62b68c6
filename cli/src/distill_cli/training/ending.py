"""One training from its first event to its end, and what every end is called. Used by `command`."""

from __future__ import annotations

import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path

from distill_api.contract import ExitCode, Outcome, TrainerConfig
from distill_api.delivery import Gate
from distill_api.gate import judge
from distill_cli.errors import CommandError
from distill_cli.training.process import TrainerProcess
from distill_cli.training.show import Display

_AGAIN = "run the same command again: it goes on from the last checkpoint"


@dataclass(frozen=True)
class Ended:
    """How the trainer ended: exit code (negative for a signal), what it said, whether it was asked to, its log."""

    code: int
    outcome: Outcome | None
    asked: bool
    log: Path


def train(config: TrainerConfig, log: Path, shown: Display, processes: int = 1) -> Ended:
    """Run the trainer to whatever end, in so many processes, showing what the first of them says."""
    with tempfile.TemporaryDirectory(prefix="distill-run-") as scratch:
        trainer = TrainerProcess(config, log, Path(scratch), processes)
        with trainer.passing_signals_on(), shown:
            said = False
            for event in trainer.events():
                if trainer.asked_to_stop and not said:
                    said = True
                    shown.note("stopping: the trainer writes a checkpoint")
                shown.show(event)
            code = trainer.wait()
        return Ended(code, trainer.outcome(), trainer.asked_to_stop, log)


def tell_end(ended: Ended, gate: Gate | None, shown: Display) -> int:
    """Show the end; the exit status. Raises CommandError where there is no student and nobody asked for that."""
    outcome = ended.outcome
    if outcome is None:
        code = ExitCode.DISRUPTED if ended.asked else ExitCode.FAILED
        raise CommandError(without_a_word(ended), code)
    judgement = judge(gate, outcome.result) if gate and outcome.result else None
    shown.end(outcome, judgement)
    if outcome.result is None and ended.code != ExitCode.DISRUPTED:
        told = f"{outcome.reason}: {outcome.message}\nthe trainer's log: {ended.log}"
        raise CommandError(told, ExitCode(ended.code))
    return ended.code if judgement is None or judgement.passed else int(ExitCode.FAILED)


def without_a_word(ended: Ended) -> str:
    """The process is gone and said nothing: killed, or never begun."""
    if ended.asked:
        return f"stopped before there was anything to save; {_AGAIN}"
    if ended.code == -signal.SIGKILL:
        why = "was killed, most often because memory ran out (a smaller spec.training.batchSize needs less)"
    elif ended.code < 0:
        why = f"was ended by signal {signal.Signals(-ended.code).name}"
    else:
        why = f"ended with {ended.code} and said nothing"
    return f"the trainer {why}; {_AGAIN}. Its log: {ended.log}"
