"""What is allowed and odd of a language model. Called by the task CausalLM for the contract check."""

from __future__ import annotations

from collections.abc import Iterator

from distill_api.contract import TrainerConfig
from distill_trainer.curriculum.words import objective_field
from distill_trainer.models import ModelSource

USUAL_TEMPERATURE = 2
"""Of language models, at most."""


def language_warnings(config: TrainerConfig, student: ModelSource, tokens: int) -> Iterator[str]:
    """Sentences about what is allowed and odd; `tokens` is how many the tokenizer has."""
    field, hottest = _hottest(config)
    if hottest > USUAL_TEMPERATURE:
        yield (
            f"{field} is {hottest:g}: for language models 1 or 2 is usual, since softened "
            "over a whole vocabulary the unlikely tokens outweigh the likely ones"
        )
    columns, fresh = (
        student.vocabulary() or 0,
        not student.weights_name and not config.student.init_from_teacher,
    )
    if fresh and columns > tokens:
        yield (
            f"student: vocab_size is {columns} and the tokenizer has {tokens} tokens: the other columns of its head "
            f"are never trained, and who generates could draw them; set vocab_size to {tokens} in its config.json"
        )


def _hottest(config: TrainerConfig) -> tuple[str, float]:
    """The greatest T that an objective sets, and the field that says so."""
    schedules = config.curriculum.schedules if config.curriculum else None
    if schedules is None or schedules.temperature is None:
        hottest = max(range(len(config.stages)), key=lambda index: config.stages[index].objective.temperature)
        return f"{objective_field(config, hottest)}.temperature", config.stages[hottest].objective.temperature
    ends = schedules.temperature
    name = "from" if ends.start > ends.end else "to"
    return f"curriculum.schedules.temperature.{name}", max(ends.start, ends.end)
