"""The card's text: what the student is, how good, how to use it, and what it comes from."""

from __future__ import annotations

from collections.abc import Iterator

from distill_api.contract import TrainerConfig
from distill_api.sources import Student
from distill_api.status import Lineage, Result
from distill_api.training import Metric, Task
from distill_trainer.curriculum.words import objective_words
from distill_trainer.lora import base_of
from distill_trainer.report.words import joules, metric_name, seconds, significant, size
from distill_trainer.tasks import kit_of


def body(config: TrainerConfig, names: tuple[str, str], data: str, result: Result, lineage: Lineage) -> str:
    """Markdown. `names` are those of student and teacher, `data` that of the data set."""
    kit = kit_of(config.task)
    rows = "\n".join(f"| {' | '.join(row)} |" for row in _rows(result))
    return f"""# {config.job.name}

{names[0]}, distilled from {names[1]} on {data} (task {config.task.value}).

## How good it is

| | student | teacher |
| --- | --- | --- |
{rows}

{_compared(result)} Both {kit.agreeing} for {100 * result.agreement:.1f} % of the {kit.rows_are}.
All of it was measured on {result.samples:,} samples of the test split of {data}: data of another kind ask for a measurement of their own.
{result.measured_on.sentence if result.measured_on else ""}

## Use

{_use(config)}

## Where it comes from

Objective: {objective_words(config)} (α is the weight of the labels); seed {config.training.seed}.
`report.html` and `result.json` beside this file have the curves, the mistakes and the whole configuration.

- teacher `{lineage.teacher_digest}`
- data `{lineage.dataset_digest}`
- recipe `{lineage.recipe_digest}`
- student `{lineage.student_digest}`
"""


def _rows(result: Result) -> Iterator[tuple[str, str, str]]:
    student, teacher = result.student, result.teacher
    ends = [f"{model.metric_low:.4f} – {model.metric_high:.4f}" for model in (student, teacher)]
    yield metric_name(result.metric), f"{student.metric:.4f}", f"{teacher.metric:.4f}"
    yield f"{100 * result.drop.confidence:g} % interval", ends[0], ends[1]
    if student.perplexity is not None and teacher.perplexity is not None:
        yield "perplexity (less is better)", f"{student.perplexity:.2f}", f"{teacher.perplexity:.2f}"
    yield "parameters", f"{student.parameters:,}", f"{teacher.parameters:,}"
    yield "size", size(student.bytes), size(teacher.bytes)
    times = (student.latency_p50_seconds, teacher.latency_p50_seconds)
    yield "median latency of one sample, where it was trained", seconds(times[0]), seconds(times[1])
    if student.samples_per_second and teacher.samples_per_second:
        rates = (student.samples_per_second, teacher.samples_per_second)
        yield "samples a second in batches", significant(rates[0]), significant(rates[1])
    used = (student.joules_per_thousand_samples, teacher.joules_per_thousand_samples)
    if used[0] is not None and used[1] is not None:
        yield "energy of 1000 samples", joules(used[0]), joules(used[1])


def _compared(result: Result) -> str:
    """The paired difference; a teacher's likeness to itself is none."""
    if result.metric is Metric.SPEARMAN:
        return "1 would be the teacher's own order of all pairs of texts."
    drop = result.drop
    sign = "below" if drop.value >= 0 else "above"
    return (
        f"The student is {abs(drop.value):.4f} {sign} its teacher; the interval of the drop is {drop.low:.4f} to {drop.high:.4f} "
        "(paired bootstrap)."
    )


def of_transformers(student: Student) -> bool:
    """Some of the teacher's layers are a Transformers model too."""
    return student.hugging_face is not None or student.init_from_teacher is not None


def _use(config: TrainerConfig) -> str:
    if not of_transformers(config.student):
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
