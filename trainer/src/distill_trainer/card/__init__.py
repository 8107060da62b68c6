"""The model card: README.md beside the weights, so that the version's folder can be pushed to a hub as it is.

Its metadata follow https://huggingface.co/docs/hub/model-cards; what is not known (a licence, a language) is left out
rather than guessed. Called once, by `result`.
"""

from __future__ import annotations

from distill_api.contract import TrainerConfig
from distill_api.status import Lineage, Result
from distill_trainer.card.body import body
from distill_trainer.card.front import front
from distill_trainer.card.metadata import metadata

__all__ = ["model_card"]


def model_card(
    config: TrainerConfig, names: tuple[str, str], data: str, result: Result, lineage: Lineage
) -> str:
    """The whole file. `names` are those of student and teacher, `data` that of the data set."""
    return f"---\n{front(metadata(config, data, result))}---\n\n{body(config, names, data, result, lineage)}"
