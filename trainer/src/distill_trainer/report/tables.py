"""The report's tables: headline, classes, lineage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from distill_api.status import ModelResult, Result
from distill_api.training import Metric
from distill_trainer.report.page import Page
from distill_trainer.report.values import is_share, span, value
from distill_trainer.report.words import (
    cut,
    escape,
    joules,
    metric_name,
    percent,
    seconds,
    significant,
    size,
    thousands,
    times,
)

CLASSES_SHOWN = 60


def headline_table(page: Page) -> str:
    """Student beside teacher."""
    result, metric = page.result, page.result.metric
    student, teacher = result.student, result.teacher
    level = percent(result.drop.confidence, 0)
    rows = [
        (f"{metric_name(result.metric)}<small>{level} interval</small>", _value(metric, student), _value(metric, teacher), _kept(result)),
        *_perplexity(student, teacher),
        ("parameters", thousands(student.parameters), thousands(teacher.parameters), times(teacher.parameters, student.parameters, "fewer")),
        ("size", size(student.bytes), size(teacher.bytes), times(teacher.bytes, student.bytes, "smaller")),
        *(
            (f"latency {name}<small>one sample, {escape(page.device)}</small>", seconds(mine), seconds(theirs), times(theirs, mine, "faster"))
            for name, mine, theirs in (
                ("p50", student.latency_p50_seconds, teacher.latency_p50_seconds),
                ("p99", student.latency_p99_seconds, teacher.latency_p99_seconds),
            )
        ),
        *_in_batches(student, teacher),
        *_counted(student, teacher),
    ]  # fmt: skip
    heads = (
        "",
        f"student<small>{cut(page.contract.student.name, 28)}</small>",
        f"teacher<small>{cut(page.contract.teacher.name, 28)}</small>",
        "",
    )
    return _table(heads, rows) + _measured_on(result)


def _measured_on(result: Result) -> str:
    return f"<p class='note'>{escape(result.measured_on.sentence)}</p>" if result.measured_on else ""


def _in_batches(student: ModelResult, teacher: ModelResult) -> Iterator[tuple[str, str, str, str]]:
    """Rows that results of older trainers do not have, and energy where it was measured."""
    if student.samples_per_second and teacher.samples_per_second:
        yield (
            "throughput<small>samples a second</small>",
            significant(student.samples_per_second),
            significant(teacher.samples_per_second),
            times(student.samples_per_second, teacher.samples_per_second, "more"),
        )
    mine, theirs = student.joules_per_thousand_samples, teacher.joules_per_thousand_samples
    if mine is not None and theirs is not None:
        yield "energy<small>1000 samples</small>", joules(mine), joules(theirs), times(theirs, mine, "less")


def _counted(student: ModelResult, teacher: ModelResult) -> Iterator[tuple[str, str, str, str]]:
    """Rows that results of older trainers do not have."""
    if student.flops and teacher.flops:
        yield (
            "operations<small>one sample</small>",
            f"{thousands(student.flops)}",
            f"{thousands(teacher.flops)}",
            times(teacher.flops, student.flops, "fewer"),
        )
    if student.calibration_error is not None and teacher.calibration_error is not None:
        yield (
            "calibration error<small>confidence against accuracy</small>",
            percent(student.calibration_error),
            percent(teacher.calibration_error),
            "",
        )


def _perplexity(student: ModelResult, teacher: ModelResult) -> list[tuple[str, str, str, str]]:
    """A row for language models."""
    mine, theirs = student.perplexity, teacher.perplexity
    if mine is None or theirs is None:
        return []
    return [
        (
            "perplexity<small>less is better</small>",
            f"{mine:.2f}",
            f"{theirs:.2f}",
            f"{mine / theirs:.2f}× the teacher's",
        )
    ]


def class_table(page: Page) -> str:
    """Recall of both and the student's precision for each class; the greatest losses where there are many classes."""
    labels, student, teacher = page.labels, page.student.classes, page.teacher.classes
    rows: list[tuple[float, tuple[str, ...]]] = []
    for index, name in enumerate(page.data.classes):
        mine, count = labels == index, int((labels == index).sum())
        if not count:
            rows.append((0.0, (cut(name, 32), "0", "–", "–", "–", "–")))
            continue
        recall, theirs = float(np.mean(student[mine] == index)), float(np.mean(teacher[mine] == index))
        predicted = int((student == index).sum())
        precision = percent(float((student[mine] == index).sum()) / predicted) if predicted else "–"
        rows.append(
            (
                recall - theirs,
                (
                    cut(name, 32),
                    thousands(count),
                    percent(recall),
                    percent(theirs),
                    _signed(recall - theirs),
                    precision,
                ),
            )
        )
    heads = (
        "class",
        page.rows_are,
        "student<small>recall</small>",
        "teacher<small>recall</small>",
        "difference<small>points</small>",
        "student<small>precision</small>",
    )
    if len(rows) <= CLASSES_SHOWN:
        return _table(heads, [row for _, row in rows], "classes")
    worst = sorted(rows, key=lambda row: row[0])[:CLASSES_SHOWN]
    note = f"<p class='note'>{len(rows)} classes; the {CLASSES_SHOWN} with the greatest loss are shown.</p>"
    return note + _table(heads, [row for _, row in worst], "classes")


def term_table(page: Page) -> str:
    """Each term of the objective by its name, in each stage; nothing where the job names none."""
    stages, several = page.stages, len(page.stages) > 1
    if not several and stages[0][0].objective.terms is None:
        return ""
    rows = []
    for stage, history in stages:
        first, last = history[0].terms, history[-1].terms
        for name, term in zip(last, stage.objective.effective_terms, strict=True):
            shown = f"{escape(stage.name)}: {escape(name)}" if several else escape(name)
            rows.append((shown, f"{term.weight:g}", f"{first[name]:.4g}", f"{last[name]:.4g}"))
    return _table(
        ("term", "weight", "first epoch<small>mean loss</small>", "last epoch<small>mean loss</small>"), rows
    )


def lineage_list(page: Page) -> str:
    """Digests and sources."""
    lineage = page.lineage
    entries = [
        ("student", page.contract.student.name, lineage.student_digest),
        ("teacher", page.contract.teacher.name, lineage.teacher_digest),
        ("data", page.data.name, lineage.dataset_digest),
        ("recipe", f"job {page.config.job.namespace}/{page.config.job.name}", lineage.recipe_digest),
    ]
    items = "".join(
        f"<dt>{name}</dt><dd>{escape(what)}<code>{escape(digest)}</code></dd>"
        for name, what, digest in entries
    )
    return f"<dl>{items}<dt>folder</dt><dd><code>{escape(page.result.artifact.uri)}</code></dd></dl>"


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]], style: str = "") -> str:
    head = "".join(f"<th scope='col'>{cell}</th>" for cell in heads)
    body = "".join(
        "<tr>"
        + "".join(f"<td>{cell}</td>" if at else f"<th scope='row'>{cell}</th>" for at, cell in enumerate(row))
        + "</tr>"
        for row in rows
    )
    return f"<div class='scroll' tabindex='0'><table class='{style}'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _value(metric: Metric, model: ModelResult) -> str:
    ends = span(metric, model.metric_low, model.metric_high)
    return f"<b>{value(metric, model.metric)}</b><small>{ends}</small>"


def _kept(result: Result) -> str:
    return f"{percent(result.retained)} kept" if is_share(result.metric) else "1 is the teacher"


def _signed(difference: float) -> str:
    style = "bad" if difference < -0.0005 else "good" if difference > 0.0005 else ""
    shown = f"{100 * difference:+.1f}".replace("-", "−") if style else "0"
    return f'<span class="{style}">{shown}</span>'
