"""The objective's α and T in words, for report and model card."""

from __future__ import annotations

from distill_api.contract import TrainerConfig
from distill_api.curriculum import AlphaSchedule, TemperatureSchedule


def objective_words(config: TrainerConfig) -> str:
    """`α = 0.1, T = 8 → 1 (Cosine, until epoch 10)`."""
    schedules = config.curriculum.schedules if config.curriculum else None
    alpha = _words(schedules.alpha) if schedules and schedules.alpha else f"{config.objective.alpha:g}"
    softened = (
        _words(schedules.temperature)
        if schedules and schedules.temperature
        else f"{config.objective.temperature:g}"
    )
    return f"α = {alpha}, T = {softened}"


def _words(schedule: AlphaSchedule | TemperatureSchedule) -> str:
    until = f", until epoch {schedule.until_epoch}" if schedule.until_epoch else ""
    return f"{schedule.start:g} → {schedule.end:g} ({schedule.shape.value}{until})"
