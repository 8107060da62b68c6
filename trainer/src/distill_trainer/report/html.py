"""Puts the sections into one page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files

from distill_api.curriculum import Stage
from distill_trainer.curriculum.words import objective_words
from distill_trainer.judging import Embedded
from distill_trainer.metrics import confusion
from distill_trainer.report.confusion import confusion_matrix, worst_confusions
from distill_trainer.report.curves import Line, curve_chart, interval_chart
from distill_trainer.report.disagreements import disagreements
from distill_trainer.report.page import Page
from distill_trainer.report.pairs import differing_pairs
from distill_trainer.report.schedules import schedule_charts
from distill_trainer.report.tables import class_table, headline_table, lineage_list, term_table
from distill_trainer.report.words import escape, metric_name, percent, seconds, thousands
from distill_trainer.snapshot import EpochRecord
from distill_trainer.tasks import kit_of


def render(page: Page) -> str:
    """The whole page; style, drawings and pictures are inside."""
    style = files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    title = f"{page.config.job.name}: {page.contract.student.name} from {page.contract.teacher.name}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{escape(title)}</title><style>{style}</style></head>'
        f"<body><main>{_header(page)}{''.join(_sections(page))}</main></body></html>\n"
    )


def _header(page: Page) -> str:
    result, metric = page.result, metric_name(page.result.metric)
    drop = result.drop
    warnings = "".join(f"<li>{escape(text)}</li>" for text in page.contract.warnings)
    notes = "".join(f"<p class='note'>{escape(text)}</p>" for text in page.contract.notes)
    size = (
        f"{result.compression:.1f}× fewer"
        if result.compression >= 1
        else f"{1 / result.compression:.1f}× more"
    )
    return (
        f"<header><p class='kicker'>Distillation report · {escape(page.config.job.namespace)}/{escape(page.config.job.name)}</p>"
        f"<h1>The student keeps {percent(result.retained)} of its teacher with {size} parameters</h1>"
        f"<p class='lead'>{escape(page.contract.student.name)} learnt from {escape(page.contract.teacher.name)} on "
        f"{escape(page.data.name)} ({kit_of(page.config.task).described(page.contract.signature)}, {thousands(len(page.data.train))} training samples). "
        f"On {thousands(result.samples)} test samples its {metric} is {percent(result.student.metric, 2)}, "
        f"{abs(100 * drop.value):.2f} points {'below' if drop.value >= 0 else 'above'} the teacher's "
        f"({percent(drop.confidence, 0)} interval of the drop: {100 * drop.low:.2f} to {100 * drop.high:.2f}). "
        f"Both {kit_of(page.config.task).agreeing} for {percent(result.agreement)} of the {page.rows_are}.</p>"
        f"{f'<ul class=warnings>{warnings}</ul>' if warnings else ''}{notes}</header>"
    )


def _sections(page: Page) -> list[str]:
    return [
        _section("Student against teacher", headline_table(page) + _intervals(page)),
        _section("Learning", f"<div class='pair'>{_loss_charts(page)}{_metric_chart(page)}{schedule_charts(page)}</div>{term_table(page)}{_learning_note(page)}"),
        *((_section("Confusion matrix of the student", _confusion(page)), _section("Class by class", class_table(page))) if page.by_class else ()),
        _section("Where they disagree", _differences(page)),
        _section("Lineage", lineage_list(page)),
        _section("Configuration", _configuration(page)),
    ]  # fmt: skip


def _differences(page: Page) -> str:
    judged = page.judged
    return differing_pairs(page, judged) if isinstance(judged, Embedded) else disagreements(page)


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def _confusion(page: Page) -> str:
    counts = confusion(page.student.classes, page.labels, len(page.data.classes))
    matrix, worst = confusion_matrix(counts, page.data.classes), worst_confusions(counts, page.data.classes)
    return f"<div class='matrix-pair'>{matrix}<div><h3>Most frequent mistakes</h3>{worst}</div></div>"


def _intervals(page: Page) -> str:
    rows = [
        (name, name, model.metric, model.metric_low, model.metric_high)
        for name, model in (("student", page.result.student), ("teacher", page.result.teacher))
    ]
    return f"<div class='intervals'>{interval_chart(rows, 'intervals of both metrics')}</div>"


def _loss_charts(page: Page) -> str:
    """A chart for each stage: losses of different objectives share no axis."""
    return "".join(
        _loss_chart(stage, history, several=len(page.stages) > 1) for stage, history in page.stages
    )


def _loss_chart(stage: Stage, history: Sequence[EpochRecord], *, several: bool) -> str:
    lines = [
        Line("total", "total", [record.loss for record in history]),
        Line("labels (cross-entropy)", "labels", [record.task_loss for record in history]),
        Line(
            "teacher (T²·KL)" if stage.objective.terms is None else "teacher (terms)",
            "teacher",
            [record.distillation_loss for record in history],
        ),
    ]
    title = f"Training losses: {stage.name}" if several else "Training losses"
    return curve_chart(title, [line for line in lines if any(line.values)])


def _metric_chart(page: Page) -> str:
    lines = [
        Line("student", "student", [record.student_metric for record in page.history]),
        Line("teacher", "teacher dashed", [record.teacher_metric for record in page.history]),
    ]
    title = f"Validation {metric_name(page.result.metric)}"
    return curve_chart(title, lines, marked=page.best_epoch, as_percent=True)


def _learning_note(page: Page) -> str:
    taken = sum(record.seconds for record in page.history)
    return (
        f"<p class='note'>{escape(objective_words(page.config))}: loss = α · labels + (1 − α) · teacher. Epoch {page.best_epoch} of {len(page.history)} is the best on the validation split, "
        f"and is the one that was kept. Training took {seconds(taken)}.</p>"
    )


def _configuration(page: Page) -> str:
    text = json.dumps(page.config.wire(), indent=2, ensure_ascii=False)
    return f"<details><summary>trainer.json</summary><pre>{escape(text)}</pre></details>"
