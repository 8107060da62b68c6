"""Puts the sections into one page."""

from __future__ import annotations

import json
from importlib.resources import files

from distill_api.elsewhere import shown
from distill_trainer.judging import Embedded
from distill_trainer.metrics import confusion
from distill_trainer.report.confusion import confusion_matrix, worst_confusions
from distill_trainer.report.disagreements import disagreements
from distill_trainer.report.intervals import interval_chart
from distill_trainer.report.learning import learning
from distill_trainer.report.page import Page
from distill_trainer.report.pairs import differing_pairs
from distill_trainer.report.summary import summary
from distill_trainer.report.tables import class_table, headline_table, lineage_list
from distill_trainer.report.values import is_share
from distill_trainer.report.words import escape, metric_name, percent


def render(page: Page) -> str:
    """The whole page; style, drawings and pictures are inside."""
    style = files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    title = f"{page.config.job.name}: {page.contract.student.name} from {page.contract.teacher.name}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{escape(title)}</title><style>{style}</style></head>'
        f"<body><main>{summary(page)}{''.join(_sections(page))}</main></body></html>\n"
    )


def _sections(page: Page) -> list[str]:
    return [
        _section("Student against teacher", headline_table(page) + _intervals(page)),
        _section("Learning", learning(page)),
        *((_section("Confusion matrix of the student", _confusion(page)), _section("Class by class", class_table(page))) if page.by_class else ()),
        _section("Where they disagree", _differences(page)),
        *((_section("What was read and assumed", _notes(page)),) if page.contract.notes else ()),
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
    result, metric = page.result, page.result.metric
    rows = [
        (name, name, model.metric, model.metric_low, model.metric_high)
        for name, model in (("student", result.student), ("teacher", result.teacher))
        if name == "student" or is_share(metric)
    ]
    label = f"{metric_name(metric)} on the test split, {percent(result.drop.confidence, 0)} interval"
    return f"<div class='intervals'>{interval_chart(rows, label, as_percent=is_share(metric))}</div>"


def _notes(page: Page) -> str:
    """What check and training said of data and teacher."""
    return f"<ul class='notes'>{''.join(f'<li>{escape(text)}</li>' for text in page.contract.notes)}</ul>"


def _configuration(page: Page) -> str:
    config = page.config.wire()
    if page.config.dataset.files:
        config["dataset"]["files"]["uri"] = shown(page.config.dataset.files.uri)
    text = json.dumps(config, indent=2, ensure_ascii=False)
    return f"<details><summary>trainer.json</summary><pre>{escape(text)}</pre></details>"
