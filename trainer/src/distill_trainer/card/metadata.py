"""What a hub reads of a card: library, task, where the model comes from, what was measured."""

from __future__ import annotations

from typing import Any

from distill_api.contract import TrainerConfig
from distill_api.dataset import Dataset
from distill_api.sources import HuggingFaceModel
from distill_api.status import Result
from distill_trainer import uris
from distill_trainer.card.body import of_transformers
from distill_trainer.tasks import kit_of

_METRICS = {"accuracy": "accuracy", "macroF1": "f1", "spearman": "spearmanr"}
"""As the Evaluate library names them."""


def metadata(config: TrainerConfig, data: str, result: Result) -> dict[str, Any]:
    """https://huggingface.co/docs/hub/model-cards#model-card-metadata, without what is not known."""
    kit = kit_of(config.task)
    known: dict[str, Any] = {
        "library_name": kit.library if of_transformers(config.student) else "pytorch",
        "pipeline_tag": kit.hub_task,
        "base_model": _base_models(config),
        "datasets": _hub_data(config.dataset),
        "metrics": [_METRICS[result.metric.value]],
        "tags": ["knowledge-distillation"],
        "model-index": [{"name": config.job.name, "results": [_measured(config, data, result)]}],
    }
    return {key: value for key, value in known.items() if value}


def _measured(config: TrainerConfig, data: str, result: Result) -> dict[str, Any]:
    """One result: https://huggingface.co/docs/hub/model-cards#evaluation-results."""
    hub = _hub_data(config.dataset)
    figures = [(_METRICS[result.metric.value], result.metric.value, result.student.metric)]
    if result.student.perplexity is not None:
        figures.append(("perplexity", "perplexity", result.student.perplexity))
    return {
        "task": {"type": kit_of(config.task).hub_task},
        "dataset": {"type": hub[0] if hub else data, "name": data, "split": "test"},
        "metrics": [
            {"type": kind, "name": name, "value": float(f"{value:.6g}")} for kind, name, value in figures
        ],
    }


def _base_models(config: TrainerConfig) -> list[str]:
    """The student's own beginning first, then the teacher, each where it lies on a hub."""
    found = [_hub_id(source) for source in (config.student.hugging_face, config.teacher.hugging_face)]
    return list(dict.fromkeys(each for each in found if each))


def _hub_id(model: HuggingFaceModel | None) -> str | None:
    return model.id if model and not uris.is_uri(model.id) else None


def _hub_data(dataset: Dataset) -> list[str] | None:
    found = dataset.hugging_face
    return [found.id] if found and not uris.is_uri(found.id) else None
