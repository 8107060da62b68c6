"""One trial from its job to its row: trained in a child process as `distill run` does, read from what the trainer wrote."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from distill_api.contract import ExitCode, Outcome
from distill_cli.errors import CommandError
from distill_cli.figures import folder_of
from distill_cli.jobs import local_config
from distill_cli.sweeping.record import Record, Row
from distill_cli.sweeping.show import TrialDisplay, line
from distill_cli.sweeping.trials import Source, Trial
from distill_cli.training.ending import Ended, train, without_a_word

TRIALS = "trials"
LOG = "run.log"


class Stopped(CommandError):  # noqa: N818
    """Somebody asked for it; the trial that ran has a checkpoint."""

    def __init__(self, done: int) -> None:
        super().__init__(
            f"stopped after {done} trials; run the same command again: it goes on with what is missing",
            ExitCode.DISRUPTED,
        )


@dataclass
class Runner:
    """Trains what is missing; `rows` are those of this sweep so far."""

    source: Source
    claims: Mapping[str, Path]
    folder: Path
    record: Record
    console: Console
    rows: list[Row]

    def row(self, trial: Trial, title: str) -> Row:
        """What comes of a trial, or came of it before. Raises Stopped, and CommandError where its job is wrong."""
        job = self.source.job(trial)
        output = self.folder / TRIALS / trial.name
        config = local_config(job, self.claims, output)
        found = self.record.done(config.recipe_digest)
        if found is None:
            output.mkdir(parents=True, exist_ok=True)
            began = time.monotonic()
            ended = train(config, output / LOG, TrialDisplay(self.console, title))
            if ended.asked and (ended.outcome is None or ended.outcome.result is None):
                raise Stopped(len(self.rows))
            found = _row(trial, config.recipe_digest, ended, time.monotonic() - began)
            self.record.add(found)
            self.console.print(line(found, title), soft_wrap=True, highlight=False)
        else:
            self.console.print(line(found, f"{title}  (found)"), soft_wrap=True, highlight=False)
        if all(each.recipe != found.recipe for each in self.rows):  # Optuna may propose the same again
            self.rows.append(found)
        return found


def _row(trial: Trial, recipe: str, ended: Ended, seconds: float) -> Row:
    values, outcome = dict(trial.combination.values), ended.outcome
    if outcome is None:
        return Row(values, trial.seed, recipe, "", "Ended", without_a_word(ended), again=True)
    if outcome.result is None:
        again = not ExitCode(ended.code).permanent
        return Row(values, trial.seed, recipe, "", outcome.reason, outcome.message, again=again)
    return _succeeded(values, trial.seed, recipe, outcome, seconds)


def _succeeded(values: Mapping[str, float], seed: int, recipe: str, outcome: Outcome, seconds: float) -> Row:
    assert outcome.result is not None  # noqa: S101 - judged above
    folder = folder_of(outcome.result)
    detail = json.loads((folder / "result.json").read_text(encoding="utf-8"))["detail"]
    validation = detail["validation"]
    return Row(
        values,
        seed,
        recipe,
        str(folder),
        "Succeeded",
        validation=validation["student"],
        samples=validation["samples"],
        best_epoch=detail["bestEpoch"],
        seconds=round(seconds, 1),
    )
