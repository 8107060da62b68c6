"""A result as people read it in a terminal: student against teacher, where things lie, the gate. For `run` and `report`."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from rich.console import Console
from rich.table import Table
from rich.text import Text

from distill_api.gate import Judgement
from distill_api.status import ModelResult, Result, pace


def comparison(result: Result) -> Table:
    """Student beside teacher, on the test split."""
    student, teacher = result.student, result.teacher
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for heading in ("teacher", "student", ""):
        table.add_column(heading, justify="right")
    table.add_row(
        result.metric.value,
        f"{teacher.metric:.4f}",
        f"{student.metric:.4f}",
        f"{100 * result.retained:.1f} % kept",
    )
    level = f"{100 * result.drop.confidence:g} % interval"
    table.add_row(level, _interval(teacher), _interval(student), "")
    drop = result.drop
    table.add_row("drop", "", f"{drop.value:.4f}", f"{drop.low:.3f} – {drop.high:.3f}")
    table.add_row(
        "parameters",
        f"{teacher.parameters:,}",
        f"{student.parameters:,}",
        _times(teacher.parameters, student.parameters, "fewer", "more"),
    )
    table.add_row("size", size(teacher.bytes), size(student.bytes), "")
    for name, theirs, mine in (
        ("latency p50", teacher.latency_p50_seconds, student.latency_p50_seconds),
        ("latency p99", teacher.latency_p99_seconds, student.latency_p99_seconds),
    ):
        table.add_row(
            name, _milliseconds(theirs), _milliseconds(mine), _times(theirs, mine, "faster", "slower")
        )
    _add_speeds(table, teacher, student)
    table.add_row("agreement", "", f"{100 * result.agreement:.1f} %", f"on {result.samples:,} test samples")
    return table


def _add_speeds(table: Table, teacher: ModelResult, student: ModelResult) -> None:
    """What results of older trainers do not have, and energy where the machine measures it."""
    if student.samples_per_second and teacher.samples_per_second:
        theirs, mine = teacher.samples_per_second, student.samples_per_second
        table.add_row("samples/s", pace(theirs), pace(mine), _times(mine, theirs, "more", "fewer"))
    if student.joules_per_thousand_samples is not None and teacher.joules_per_thousand_samples is not None:
        theirs, mine = teacher.joules_per_thousand_samples, student.joules_per_thousand_samples
        table.add_row("J/1000 samples", f"{theirs:.3g}", f"{mine:.3g}", _times(theirs, mine, "less", "more"))


def show_measured_on(console: Console, result: Result) -> None:
    """What throughput was measured on, and what of energy."""
    if result.measured_on:
        console.print(Text(result.measured_on.sentence, style="dim"), soft_wrap=True)


def show_places(console: Console, version: Path) -> None:
    """Where the student and its report are."""
    for name, path in (("student", version), ("report", version / "report.html")):
        console.print(f"{name:<8} {path}", highlight=False, soft_wrap=True, markup=False)


def show_judgement(console: Console, judgement: Judgement) -> None:
    """The gate's verdict with its reason."""
    mark = Text("passed", style="bold green") if judgement.passed else Text("not passed", style="bold red")
    console.print(
        Text.assemble("gate     ", mark, f" ({judgement.reason}): {judgement.message}"), soft_wrap=True
    )


def folder_of(result: Result) -> Path:
    """The version's folder of a result that was made on this machine."""
    return Path(unquote(result.artifact.uri.removeprefix("file://")))


def size(count: float) -> str:
    """Bytes in the binary unit that fits: 1536 → `1.5 KiB`."""
    unit = "B"
    for larger in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        if count < 1000:
            break
        count, unit = count / 1024, larger
    return f"{count:.0f} {unit}" if count >= 100 or unit == "B" else f"{count:.1f} {unit}"


def _interval(model: ModelResult) -> str:
    return f"{model.metric_low:.3f} – {model.metric_high:.3f}"


def _times(theirs: float, mine: float, better: str, worse: str) -> str:
    """How many times less the student needs, or more."""
    if not mine or not theirs:
        return ""
    return f"{theirs / mine:.1f}× {better}" if theirs >= mine else f"{mine / theirs:.1f}× {worse}"


def _milliseconds(value: float) -> str:
    return f"{1000 * value:.2f} ms"
