"""The trainings of a sweep: which values with which seed, and the job that each is. No training here."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from distill_api.curriculum_rules import SOFTENING
from distill_cli.errors import CommandError
from distill_cli.jobs import Job, one_job
from distill_cli.jobs.settings import Setting
from distill_cli.sweeping.knobs import KNOBS, Turned

STORE = "teacher-outputs-of-all"
EVERY_TEMPERATURE = (
    "α = 1 leaves the teacher out: it is one training for every temperature, and was run once."
)


@dataclass(frozen=True)
class Combination:
    """A value for each knob, by its name."""

    values: tuple[tuple[str, float], ...]

    @property
    def trained(self) -> Combination:
        """The same without a temperature where α = 1: the teacher has no effect, and every T is one and the same training."""
        if dict(self.values).get("alpha") != 1:
            return self
        return Combination(tuple(pair for pair in self.values if pair[0] != "temperature"))

    @property
    def name(self) -> str:
        """For a folder: `temperature-4_alpha-0.1`."""
        return "_".join(f"{name}-{value:.6g}" for name, value in self.values)

    @property
    def words(self) -> str:
        """For people: `T 4  α 0.1`."""
        return "  ".join(
            f"{knob.sign} {dict(self.values)[knob.name]:.6g}"
            for knob in KNOBS
            if knob.name in dict(self.values)
        )


@dataclass(frozen=True)
class Trial:
    """A combination with a seed."""

    combination: Combination
    seed: int

    @property
    def name(self) -> str:
        """For a folder."""
        return f"{self.combination.name}_seed-{self.seed}"


@dataclass(frozen=True)
class Source:
    """Where the job of each trial comes from, and what every trial changes of it."""

    file: str
    name: str | None
    settings: tuple[Setting, ...]

    def job(self, trial: Trial | None = None) -> Job:
        """The job of a trial, or as it is written. Raises CommandError with everything that is wrong with it."""
        return one_job(self.file, self.name, [*self.settings, *(_settings(trial) if trial else ())])


def grid(turned: Sequence[Turned]) -> list[Combination]:
    """Every value of each knob with every value of the others, each training once. All are choices."""
    names = [each.knob.name for each in turned]
    every = (
        Combination(tuple(zip(names, values, strict=True))).trained
        for values in itertools.product(*(each.ends for each in turned))
    )
    return list(dict.fromkeys(every))


def shared_store(job: Job, folder: Path) -> Setting | None:
    """Teacher outputs that are stored once for all trials; None where the job says that the teacher runs beside each."""
    given: Mapping[str, Any] = job.given.get("teacherOutputs") or {}
    if given.get("mode") == "Online":
        return None
    kept = {name: given[name] for name in ("encoding", "topK") if name in given}
    store = given.get("store") or {"uri": f"file://{quote(str(folder / STORE))}"}
    return Setting(
        ("spec", "teacherOutputs"), {"mode": "Cached", "store": store, **kept}, "teacherOutputs of a sweep"
    )


def refuse_without_effect(job: Job, turned: Sequence[Turned]) -> None:
    """Raise CommandError where a knob turns nothing."""
    softened = any(
        term.temperature is None and term.type in SOFTENING for term in job.spec.objective.effective_terms
    )
    if any(each.knob.name == "temperature" for each in turned) and not softened:
        raise CommandError(
            f"{job.place}: --temperature has no effect: every term of spec.objective.terms has a temperature of its own, or none; "
            "remove it from a term"
        )
    names = {each.knob.name for each in turned}
    if names & {"temperature", "alpha"} == {"temperature"} and job.spec.objective.alpha == 1:
        raise CommandError(
            f"{job.place}: --temperature has no effect with spec.objective.alpha 1, which leaves the teacher out: set a smaller "
            "alpha, or give values to --alpha"
        )


def _settings(trial: Trial) -> list[Setting]:
    values = dict(trial.combination.values)
    turned = [
        Setting(knob.path, values[knob.name], f"{knob.option} {values[knob.name]:g}")
        for knob in KNOBS
        if knob.name in values
    ]
    return [*turned, Setting(("spec", "training", "seed"), trial.seed, "--seeds")]
