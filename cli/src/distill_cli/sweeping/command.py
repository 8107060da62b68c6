"""`distill sweep`: values of α, temperature and learning rate compared on the validation split, the teacher run once for all."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from rich.console import Console

from distill_api.contract import ExitCode, Outcome
from distill_api.naming import recipe_digest
from distill_cli.errors import CommandError, trainer_is_missing
from distill_cli.figures import comparison, show_measured_on
from distill_cli.help import Commands, add_claims, add_command, add_job_file
from distill_cli.jobs import Job, local_config, read_claims, said_of_data
from distill_cli.jobs.read import STANDARD_INPUT
from distill_cli.jobs.settings import read_setting
from distill_cli.sweeping import record
from distill_cli.sweeping.knobs import KNOBS, Range, Turned, turned
from distill_cli.sweeping.picture import page
from distill_cli.sweeping.ranking import Ranked, names_of, ranked
from distill_cli.sweeping.run import Runner
from distill_cli.sweeping.search import search
from distill_cli.sweeping.show import table, yaml_lines
from distill_cli.sweeping.trials import (
    EVERY_TEMPERATURE,
    Combination,
    Source,
    Trial,
    grid,
    refuse_without_effect,
    shared_store,
)

PAGE = "sweep.html"
_FOLDER = "sweep"


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "sweep",
        _sweep,
        does="compare values of temperature, alpha and learning rate, without a cluster",
        more="Every combination is trained as by `distill run`; the teacher runs once for all. What is best is judged by the "
        "validation split; the test split is looked at once, for the best. Ctrl-C, and the same command goes on with what is "
        "missing. A range (1..8) needs --trials: Optuna then proposes the combinations.",
        example="""
            distill sweep job.yaml --claim models=./models --temperature 1,2,4,8 --alpha 0,0.1,0.5
            distill sweep job.yaml --temperature 1..10 --learning-rate 0.0005..0.02 --trials 30 --seeds 2
            """,
    )
    add_job_file(parser)
    add_claims(parser)
    for knob in KNOBS:
        parser.add_argument(
            knob.option, metavar="VALUES", help=f"of spec.{'.'.join(knob.path[1:])}: 1,2,4 or a range as 1..8"
        )
    parser.add_argument(
        "--seeds", type=int, default=1, metavar="N", help="seeds of each combination (default 1)"
    )
    parser.add_argument("--trials", type=int, metavar="N", help="combinations to try, proposed by Optuna")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="folder to write to (default: sweep below spec.output.uri)"
    )


def _sweep(arguments: argparse.Namespace, console: Console) -> int:
    knobs = _knobs(arguments)
    if importlib.util.find_spec("distill_trainer") is None:
        raise trainer_is_missing("sweep")
    claims = read_claims(arguments.claims)
    source = Source(arguments.file, arguments.job, tuple(read_setting(text) for text in arguments.settings))
    job = source.job()
    refuse_without_effect(job, knobs)
    folder = _folder(job, claims, arguments.output)
    store = shared_store(job, folder)
    if store is None:
        console.print("spec.teacherOutputs.mode is Online: the teacher runs in each trial", highlight=False)
    source = Source(source.file, source.name, (*source.settings, *([store] if store else ())))
    for sentence in said_of_data(job):
        console.print(sentence, highlight=False, markup=False, soft_wrap=True)
    runner = Runner(source, claims, folder, record.Record(folder / record.FILE), console, [])
    _check_ends(source, knobs, job.spec.training.seed)
    if arguments.trials is None:
        combinations = grid(knobs)
        _run_grid(runner, combinations, job.spec.training.seed, arguments.seeds)
    else:
        _run_search(runner, knobs, arguments.trials, job.spec.training.seed, arguments.seeds)
    return _tell(runner, job, console)


def _knobs(arguments: argparse.Namespace) -> list[Turned]:
    given = [(knob, getattr(arguments, knob.name.replace("-", "_"))) for knob in KNOBS]
    knobs = [turned(knob, text) for knob, text in given if text is not None]
    if not knobs:
        raise CommandError(
            f"there is nothing to sweep: give values to {', '.join(knob.option for knob in KNOBS)}"
        )
    for each in knobs:
        if isinstance(each.values, Range) and arguments.trials is None:
            raise CommandError(
                f"{each.knob.option} is a range: say with --trials N how many combinations to try, or list values"
            )
    for name in ("seeds", "trials"):
        if (getattr(arguments, name) or 1) < 1 or getattr(arguments, name) == 0:
            raise CommandError(f"--{name} {getattr(arguments, name)}: must be at least 1")
    if arguments.file == STANDARD_INPUT:
        raise CommandError("a sweep reads the job for each trial: give it a file instead of standard input")
    return knobs


def _check_ends(source: Source, knobs: Sequence[Turned], seed: int) -> None:
    """Refuse what the schema refuses before anything is trained: each value beside the first of the others."""
    first = {each.knob.name: each.ends[0] for each in knobs}
    for each in knobs:
        for value in each.ends:
            source.job(Trial(Combination(tuple({**first, each.knob.name: value}.items())), seed))


def _folder(job: Job, claims: dict[str, Path], output: Path | None) -> Path:
    uri = local_config(job, claims, output).output.uri
    folder = Path(unquote(uri.removeprefix("file://"))) / ("" if output else _FOLDER)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(
            f"{job.place}: spec.output.uri: {folder} cannot be written: {error.strerror}; choose another with --output DIR",
            ExitCode.CONTRACT_BROKEN,
        ) from error
    return folder


def _run_grid(runner: Runner, combinations: Sequence[Combination], seed: int, seeds: int) -> None:
    """All combinations with the first seed, then all with the next: an early end leaves a whole picture."""
    trials = [Trial(each, seed + extra) for extra in range(seeds) for each in combinations]
    for number, trial in enumerate(trials, start=1):
        runner.row(trial, f"{number}/{len(trials)}  {trial.combination.words}  seed {trial.seed}")


def _run_search(runner: Runner, knobs: Sequence[Turned], trials: int, seed: int, seeds: int) -> None:
    def evaluate(combination: Combination) -> float | None:
        """Mean over the seeds; None where one of them failed."""
        combination = combination.trained
        rows = [
            runner.row(Trial(combination, seed + extra), f"{combination.words}  seed {seed + extra}")
            for extra in range(seeds)
        ]
        values = [row.validation["value"] for row in rows if row.validation is not None]
        return sum(values) / len(values) if len(values) == len(rows) else None

    recipe = recipe_digest(runner.source.job().spec)
    search(knobs, trials, seed, recipe, runner.folder, evaluate)


def _tell(runner: Runner, job: Job, console: Console) -> int:
    found, metric = ranked(runner.rows), job.spec.evaluation.metric.value
    confidence = job.spec.evaluation.confidence
    console.print(f"\nby the {metric} on the validation split", highlight=False)
    console.print(table(found, metric, confidence))
    best = found[0]
    lines = yaml_lines(dict(best.values))
    notes = _notes(found, metric)
    (runner.folder / PAGE).write_text(
        page(f"Sweep of {job.name}", found, metric, lines, notes), encoding="utf-8"
    )
    runner.record.finish(
        runner.rows, {"job": job.name, "metric": metric, "best": dict(best.values) if best.value else None}
    )
    for name, file in (("record", record.FILE), ("picture", PAGE)):
        console.print(f"{name:<8} {runner.folder / file}", highlight=False, soft_wrap=True, markup=False)
    if best.value is None:
        raise CommandError("every trial failed; the table says why", ExitCode.FAILED)
    for note in notes:
        console.print(note, highlight=False, markup=False, soft_wrap=True)
    console.print(f"spec:\n{lines}", highlight=False, markup=False)
    outcome = Outcome.model_validate_json((Path(best.rows[0].folder) / "result.json").read_bytes())
    if outcome.result is not None:
        console.print(
            f"\nthe best one, seed {best.rows[0].seed}, on the test split, which did not choose it:"
        )
        console.print(comparison(outcome.result))
        show_measured_on(console, outcome.result)
    return 0


def _notes(found: Sequence[Ranked], metric: str) -> list[str]:
    """How sure the first place is, and which rows stand for several combinations."""
    best, names = found[0], names_of(found)
    if best.value is None:
        return []
    once = [EVERY_TEMPERATURE] if any(len(each.values) < len(names) for each in found) else []
    samples = max(row.samples for row in best.rows)
    reached = f"{metric} {best.value:.4f} on {samples} validation samples, interval {best.low:.3f} – {best.high:.3f}"
    return [
        f"best: {reached}",
        "≈ best: within its interval, these samples do not tell them apart; the best of several is partly the luckiest.",
        *once,
    ]
