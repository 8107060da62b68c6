"""How the student learnt: losses of each stage, the validation metric, what a curriculum changed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from distill_api.curriculum import Stage
from distill_trainer.curriculum.words import objective_words
from distill_trainer.report.curves import Line, curve_chart
from distill_trainer.report.page import Page
from distill_trainer.report.schedules import schedule_charts
from distill_trainer.report.tables import term_table
from distill_trainer.report.values import is_share
from distill_trainer.report.words import duration, escape, metric_name
from distill_trainer.snapshot import EpochRecord


def learning(page: Page) -> str:
    """The body of the section."""
    charts = f"{_loss_charts(page)}{_metric_chart(page)}{schedule_charts(page)}"
    return f"<div class='pair'>{charts}</div>{term_table(page)}{_note(page)}"


def _loss_charts(page: Page) -> str:
    """A chart for each stage: losses of different objectives share no axis."""
    several = len(page.stages) > 1
    return "".join(
        curve_chart(
            f"Training losses: {stage.name}" if several else "Training losses",
            loss_lines(stage, history, fixed_alpha=page.fixed_alpha),
            axis="loss",
        )
        for stage, history in page.stages
    )


def loss_lines(stage: Stage, history: Sequence[EpochRecord], *, fixed_alpha: bool) -> list[Line]:
    """The total with its two parts; where α leaves one of them alone in the loss that one is the total."""
    alpha = stage.objective.alpha if fixed_alpha else None
    aside = ", not in the loss"
    teacher = "teacher (T²·KL)" if stage.objective.terms is None else "teacher (terms)"
    lines = [
        Line("total", "total", [record.loss for record in history]),
        Line(
            f"labels (cross-entropy{aside if alpha == 0 else ''})",
            "labels dotted",
            [record.task_loss for record in history],
        ),
        Line(
            f"{teacher.removesuffix(')')}{aside})" if alpha == 1 else teacher,
            "teacher dashed",
            [record.distillation_loss for record in history],
        ),
    ]
    if alpha in {0, 1}:
        lines = lines[1:]
    return [line for line in lines if any(line.values)] or lines[:1]


def _metric_chart(page: Page) -> str:
    metric = page.result.metric
    lines = [
        Line("student", "student", [record.student_metric for record in page.history]),
        Line("teacher", "teacher dashed", [record.teacher_metric for record in page.history]),
    ]
    ends = list(accumulate(stage.epochs for stage, _ in page.stages))[:-1]
    return curve_chart(
        f"Validation {metric_name(metric)}",
        lines,
        axis=metric_name(metric),
        marked=page.best_epoch,
        as_percent=is_share(metric),
        borders=[(end, stage.name) for end, (stage, _) in zip(ends, page.stages[1:], strict=True)],
    )


def _note(page: Page) -> str:
    taken = sum(record.seconds for record in page.history)
    return (
        f"<p class='note'>{escape(objective_words(page.config))}: loss = α · labels + (1 − α) · teacher. Epoch {page.best_epoch} of "
        f"{len(page.history)} is the best on the validation split, and is the one that was kept. Training took {duration(taken)}.</p>"
    )
