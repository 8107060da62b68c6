"""The model card: README.md beside the weights, so that the version's folder can be pushed to a hub as it is.

Its metadata follow https://huggingface.co/docs/hub/model-cards; what is not known (a licence, a language) is left out
rather than guessed.
"""

from __future__ import annotations

import json
from typing import Any

from distill_api.contract import TrainerConfig
from distill_api.dataset import Dataset
from distill_api.sources import Student, Teacher
from distill_api.status import Lineage, Result
from distill_api.training import Task
from distill_trainer import uris
from distill_trainer.curriculum.words import objective_words
from distill_trainer.lora import base_of
from distill_trainer.tasks import kit_of

CARD = "README.md"
_METRICS = {"accuracy": "accuracy", "macroF1": "f1", "spearman": "spearmanr"}


def model_card(
    config: TrainerConfig, names: tuple[str, str], data: str, result: Result, lineage: Lineage
) -> str:
    """The whole file. `names` are those of student and teacher, `data` that of the data set."""
    metadata = _metadata(config, data, result).items()
    front = "".join(
        f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in metadata
    )  # JSON is YAML
    return f"---\n{front}---\n\n{_text(config, names, data, result, lineage)}"


def _metadata(config: TrainerConfig, data: str, result: Result) -> dict[str, Any]:
    pipeline = kit_of(config.task).pipeline
    measured = {
        "type": _METRICS[result.metric.value],
        "name": result.metric.value,
        "value": round(result.student.metric, 6),
    }
    task = {"type": pipeline}
    known: dict[str, Any] = {
        "library_name": kit_of(config.task).library if _of_transformers(config.student) else "pytorch",
        "pipeline_tag": pipeline,
        "base_model": _hub_id(config.teacher),
        "datasets": _hub_data(config.dataset),
        "tags": ["knowledge-distillation"],
        "model-index": [
            {
                "name": config.job.name,
                "results": [
                    {
                        "task": task,
                        "dataset": {"type": data, "name": data, "split": "test"},
                        "metrics": [measured],
                    }
                ],
            }
        ],
    }
    return {key: value for key, value in known.items() if value is not None}


def _hub_data(dataset: Dataset) -> list[str] | None:
    found = dataset.hugging_face
    return [found.id] if found and not uris.is_uri(found.id) else None


def _hub_id(teacher: Teacher) -> str | None:
    found = teacher.hugging_face
    return found.id if found and not uris.is_uri(found.id) else None


def _text(config: TrainerConfig, names: tuple[str, str], data: str, result: Result, lineage: Lineage) -> str:
    student, teacher = result.student, result.teacher
    return f"""# {config.job.name}

{names[0]}, distilled from {names[1]} on {data} ({config.task.value}).

| | student | teacher |
| --- | --- | --- |
| {result.metric.value} on {result.samples} test samples | {student.metric:.4f} | {teacher.metric:.4f} |
| {100 * result.drop.confidence:.0f} % interval | {student.metric_low:.4f} – {student.metric_high:.4f} | {teacher.metric_low:.4f} – {teacher.metric_high:.4f} |
| parameters | {student.parameters:,} | {teacher.parameters:,} |

Both agree on {100 * result.agreement:.1f} % of the samples; the teacher is better by {result.drop.value:.4f}
({result.drop.low:.4f} to {result.drop.high:.4f}, paired bootstrap).

## Use

{_use(config)}

## Where it comes from

Objective: {objective_words(config)}, α the weight of the labels; seed {config.training.seed}.
`report.html` and `result.json` beside this file have the curves, the mistakes and the whole configuration.

- teacher `{lineage.teacher_digest}`
- data `{lineage.dataset_digest}`
- recipe `{lineage.recipe_digest}`
- student `{lineage.student_digest}`
"""


def _of_transformers(student: Student) -> bool:
    """Some of the teacher's layers are a Transformers model too."""
    return student.hugging_face is not None or student.init_from_teacher is not None


def _use(config: TrainerConfig) -> str:
    if not _of_transformers(config.student):
        return _use_here(config)
    return f"```python\n{kit_of(config.task).usage}\n```{_use_adapter(config.student)}"


def _use_adapter(student: Student) -> str:
    base = base_of(student) if student.lora else None
    if base is None:
        return ""
    of = f" of revision {base.revision}" if base.revision else ""
    code = 'from peft import PeftModel\n\nmodel = PeftModel.from_pretrained(base, FOLDER + "/adapter")'
    return f"\n\nThe same, as adapters on `{base.id}`{of}, loaded before as `base`:\n\n```python\n{code}\n```"


def _use_here(config: TrainerConfig) -> str:
    """With the trainer's own reader, which knows how each network is shown its samples."""
    load = "from distill_trainer.student import load_student\n\nstudent = load_student(Path(FOLDER))"
    images = "images)  # float32 [B, C, H, W] in [0, 1]"
    inputs = (
        images if config.task is Task.IMAGE_CLASSIFICATION else "student.text_encoder.encode(texts).inputs)"
    )
    code = f"```python\nfrom pathlib import Path\n\n{load}\nprobabilities = student.predict({inputs}\n```"
    made = config.student.python
    return (
        f"{code}\n\nThe function `{made.factory}`, which makes the network, must be importable."
        if made
        else code
    )
