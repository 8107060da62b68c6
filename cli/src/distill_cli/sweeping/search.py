"""Combinations from ranges: Optuna proposes each from what came of those before it.

The sampler is TPE (Bergstra et al. 2011, Algorithms for Hyper-Parameter Optimization), seeded by how many trials there were, so
that a sweep that was interrupted proposes what it would have proposed. The study is a file beside sweep.json.
https://optuna.readthedocs.io/en/stable/tutorial/20_recipes/009_ask_and_tell.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from distill_api.contract import ExitCode
from distill_api.naming import digest, short
from distill_cli.errors import CommandError
from distill_cli.sweeping.knobs import Range, Turned
from distill_cli.sweeping.trials import Combination

FILE = "study.log"
_DIGITS = 4


_ENDED = "ended"
"""Set on trials that were evaluated, to a value or a failure; those without it were interrupted."""


def search(
    turned: Sequence[Turned],
    trials: int,
    seed: int,
    recipe: str,
    folder: Path,
    evaluate: Callable[[Combination], float | None],
) -> None:
    """Evaluate combinations until there were `trials`; None from `evaluate` is a failure. Raises CommandError.

    Those of an earlier start are evaluated first, for whoever keeps what came of them. `recipe` is the job's own.
    """
    study = _study(turned, seed, recipe, folder)
    states = _states()
    for left in study.get_trials(states=(states.RUNNING,)):  # interrupted: the same combination once more
        study.tell(left.number, state=states.FAIL)
        study.enqueue_trial(left.params)
    done = [each for each in study.get_trials() if each.user_attrs.get(_ENDED)]
    for each in done:
        evaluate(_combination(turned, each.params))
    for count in range(len(done), trials):
        study.sampler = _sampler(seed + count)
        asked = study.ask({each.knob.name: _distribution(each) for each in turned})
        value = evaluate(_combination(turned, asked.params))
        asked.set_user_attr(_ENDED, True)
        study.tell(asked, value, state=states.COMPLETE if value is not None else states.FAIL)


def _study(turned: Sequence[Turned], seed: int, recipe: str, folder: Path) -> Any:
    try:
        import optuna  # noqa: PLC0415 - an extra, which a grid does without
        from optuna.storages.journal import JournalFileBackend  # noqa: PLC0415
    except ImportError as error:
        raise CommandError(
            "--trials needs Optuna, which is not installed: pip install 'distill-cli[sweep]', or list values and leave --trials out",
            ExitCode.FAILED,
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        direction="maximize",
        storage=optuna.storages.JournalStorage(JournalFileBackend(str(folder / FILE))),
        study_name=short(digest([recipe, seed, *([each.knob.name, list(each.ends)] for each in turned)])),
        load_if_exists=True,
    )


def _states() -> Any:
    from optuna.trial import TrialState  # noqa: PLC0415

    return TrialState


def _sampler(seed: int) -> Any:
    from optuna.samplers import TPESampler  # noqa: PLC0415

    return TPESampler(seed=seed)


def _distribution(each: Turned) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution  # noqa: PLC0415

    if isinstance(each.values, Range):
        return FloatDistribution(each.values.low, each.values.high, log=each.knob.logarithmic)
    return CategoricalDistribution(each.values)


def _combination(turned: Sequence[Turned], proposed: Mapping[str, float]) -> Combination:
    """Values rounded to four digits: nobody writes more into a YAML, and the student is that of what is written."""
    return Combination(tuple((each.knob.name, _rounded(proposed[each.knob.name], each)) for each in turned))


def _rounded(value: float, each: Turned) -> float:
    if not isinstance(each.values, Range):
        return value
    return min(max(float(f"{value:.{_DIGITS}g}"), each.values.low), each.values.high)
