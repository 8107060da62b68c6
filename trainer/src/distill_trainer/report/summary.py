"""The top of the page: is the student good enough, what does it save, what did it cost."""

from __future__ import annotations

import math
from collections.abc import Iterator

from distill_api.status import Result
from distill_trainer.report.page import Page
from distill_trainer.report.values import difference, differences, is_share, span, value
from distill_trainer.report.words import (
    duration,
    escape,
    metric_name,
    percent,
    seconds,
    size,
    thousands,
    times,
)
from distill_trainer.tasks import kit_of

_GATE_DIGITS = 3


def summary(page: Page) -> str:
    """Headline, verdict, figures, one sentence of what learnt what from what, and warnings."""
    warnings = "".join(f"<li>{escape(text)}</li>" for text in page.contract.warnings)
    tiles = "".join(
        f"<div><dt>{name}</dt><dd><b>{figure}</b><span>{said}</span></dd></div>"
        for name, figure, said in _tiles(page)
    )
    return (
        f"<header><p class='kicker'>Distillation report · {escape(page.config.job.namespace)}/{escape(page.config.job.name)}</p>"
        f"<h1>{_headline(page)}</h1>{_verdict(page)}<dl class='tiles'>{tiles}</dl><p class='lead'>{_lead(page)}</p>"
        f"{f'<ul class=warnings>{warnings}</ul>' if warnings else ''}</header>"
    )


def _headline(page: Page) -> str:
    result, metric = page.result, metric_name(page.result.metric)
    fewer = times(result.teacher.parameters, result.student.parameters, "fewer")
    if not is_share(result.metric):
        return f"{metric[0].upper()}{metric[1:]} {value(result.metric, result.student.metric)} with the teacher, with {fewer} parameters"
    return f"The student keeps {percent(result.retained)} of its teacher's {metric} with {fewer} parameters"


def _verdict(page: Page) -> str:
    """What the interval of the paired difference says, and which gates the student passes."""
    told = _drop(page.result) if is_share(page.result.metric) else _likeness(page.result)
    return f"{told}<p class='note'>{_gates(page)}</p>"


def _drop(result: Result) -> str:
    drop = result.drop
    style, says = "even", "no difference that could be told from chance"
    if drop.low > 0:
        style, says = "worse", "a drop that is not chance"
    elif drop.high < 0:
        style, says = "better", "a gain that is not chance"
    side = "below" if drop.value >= 0 else "above"
    return (
        f"<p class='verdict {style}'>{difference(result.metric, drop.value)} {side} its teacher on {thousands(result.samples)} test "
        f"samples, {percent(drop.confidence, 0)} interval of the drop {differences(result.metric, drop.low, drop.high)}: {says}.{_perplexity(result)}</p>"
    )


def _perplexity(result: Result) -> str:
    """Of language models, since the likeliest token can be right where the others are all but."""
    mine, theirs = result.student.perplexity, result.teacher.perplexity
    return "" if not mine or not theirs else f" Its perplexity is {mine / theirs:.2f}× the teacher's."


def _likeness(result: Result) -> str:
    """The teacher is like itself, so that its value is 1 and a drop says nothing new."""
    interval = span(result.metric, result.student.metric_low, result.student.metric_high)
    return (
        f"<p class='verdict even'>{percent(result.drop.confidence, 0)} interval {interval} on {thousands(result.samples)} test samples; "
        "1 would be the teacher's own order of all pairs.</p>"
    )


def _gates(page: Page) -> str:
    """The limits at which a gate just lets the student through, rounded so that they hold."""
    drop, student, grain = page.result.drop, page.result.student, 10**_GATE_DIGITS
    least = [math.floor(number * grain) / grain for number in (student.metric, student.metric_low)]
    most = [max(math.ceil(number * grain) / grain, 0) for number in (drop.value, drop.high)]
    sure = f"with confidence {drop.confidence:g}"
    lowest = f"minValue up to {least[0]:g} ({sure}: {least[1]:g})"
    if not is_share(page.result.metric):
        return f"It passes a gate with {lowest}."
    return f"It passes a gate with maxDropVsTeacher from {most[0]:g} on ({sure}: {most[1]:g}), or {lowest}."


def _tiles(page: Page) -> Iterator[tuple[str, str, str]]:
    student, teacher = page.result.student, page.result.teacher
    metric = page.result.metric
    yield (
        metric_name(metric),
        value(metric, student.metric),
        f"teacher {value(metric, teacher.metric)}" if is_share(metric) else "1 is the teacher",
    )
    if student.perplexity is not None and teacher.perplexity is not None:
        yield "perplexity", f"{student.perplexity:.2f}", f"teacher {teacher.perplexity:.2f}; less is better"
    yield (
        "size",
        size(student.bytes),
        f"{times(teacher.bytes, student.bytes, 'smaller')} than {size(teacher.bytes)}",
    )
    yield (
        "latency of a sample",
        seconds(student.latency_p50_seconds),
        f"{times(teacher.latency_p50_seconds, student.latency_p50_seconds, 'faster')} on {escape(page.device)}",
    )
    taken = sum(record.seconds for record in page.history)
    epochs = f"{len(page.history)} epoch{'s' if len(page.history) > 1 else ''}"
    yield "training", duration(taken), f"{epochs} on {escape(page.device)}"


def _lead(page: Page) -> str:
    kit, contract = kit_of(page.config.task), page.contract
    return (
        f"{escape(contract.student.name)} learnt from {escape(contract.teacher.name)} on {escape(page.data.name)} "
        f"({kit.described(contract.signature)}, {thousands(len(page.data.train))} training samples). "
        f"Both {kit.agreeing} for {percent(page.result.agreement)} of the {page.rows_are} of the test split."
    )
