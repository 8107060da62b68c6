"""The objective's α and T in words, for report and model card, and where an objective stands."""

from __future__ import annotations

from distill_api.contract import TrainerConfig
from distill_api.curriculum import AlphaSchedule, Schedules, TemperatureSchedule
from distill_api.training import Objective


def objective_words(config: TrainerConfig) -> str:
    """`α = 0.1, T = 8 → 1 (Cosine, until epoch 10)`; of stages `hints (5 epochs): α = 0, T = 4; …`."""
    if config.curriculum is None or config.curriculum.stages is None:
        return _objective(config.objective, config.curriculum.schedules if config.curriculum else None)
    return "; ".join(
        f"{stage.name} ({stage.epochs} epochs): {_objective(stage.objective, None)}"
        for stage in config.stages
    )


def objective_field(config: TrainerConfig, stage: int) -> str:
    """Where the objective of a stage stands."""
    staged = config.curriculum is not None and config.curriculum.stages is not None
    return f"curriculum.stages[{stage}].objective" if staged else "objective"


def _objective(objective: Objective, schedules: Schedules | None) -> str:
    alpha = _words(schedules.alpha) if schedules and schedules.alpha else f"{objective.alpha:g}"
    scheduled = schedules.temperature if schedules else None
    return f"α = {alpha}, T = {_words(scheduled) if scheduled else f'{objective.temperature:g}'}"


def _words(schedule: AlphaSchedule | TemperatureSchedule) -> str:
    until = f", until epoch {schedule.until_epoch}" if schedule.until_epoch else ""
    return f"{schedule.start:g} → {schedule.end:g} ({schedule.shape.value}{until})"
