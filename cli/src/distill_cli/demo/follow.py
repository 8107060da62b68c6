"""Following one DistillationJob: each phase a line, training a progress bar, the end a table."""

from __future__ import annotations

import time
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from distill_cli.demo.kubernetes_client import DemoError, Reader
from distill_cli.demo.story import Story

FINAL = {"Succeeded", "Failed"}


def follow(story: Story, reader: Reader, namespace: str, name: str, seconds: float = 600) -> dict[str, Any]:
    """Show a job's way until it ends, and return it. Raises DemoError when it fails or takes too long."""
    deadline = time.monotonic() + seconds
    columns = (
        TextColumn("  {task.description:<11}"),
        BarColumn(40),
        TextColumn("{task.percentage:>3.0f}%  {task.fields[said]}"),
    )
    phase = ""
    last = ""
    began = time.monotonic()
    with Progress(*columns, console=story.console, transient=True) as bar:
        row = bar.add_task("Pending", total=100, said="")
        while time.monotonic() < deadline:
            job = reader.distillation_job(namespace, name) or {}
            status = job.get("status", {})
            now_phase = status.get("phase") or "Pending"
            if now_phase != phase:
                tell_phase(story, now_phase, status, time.monotonic() - began)
                phase = now_phase
            said = tell_progress(status.get("progress") or {})
            percent = (status.get("progress") or {}).get("percent", 0)
            bar.update(row, description=phase, completed=percent, said=said)
            if said != last and not story.console.is_terminal and phase == "Running":
                story.say(f"            {percent:>3} %  {said}")
            last = said
            if phase == "Failed":
                raise DemoError(f"DistillationJob {name} failed: {status.get('message', 'no message')}")
            if phase in FINAL:
                return job
            time.sleep(0.25)
    raise DemoError(
        f"DistillationJob {name} was still {phase} after {seconds:.0f} s: kubectl describe dj {name} -n {namespace}"
    )


# The condition whose sentence explains why a job came into a phase.
EXPLAINED_BY = {"Running": "ContractValid", "Succeeded": "GatePassed", "Failed": "Failed"}


def tell_phase(story: Story, phase: str, status: dict[str, Any], took: float) -> None:
    """A line for a new phase, with the condition that explains it, or the job's own sentence."""
    conditions = {c["type"]: c["message"] for c in status.get("conditions", [])}
    said = conditions.get(EXPLAINED_BY.get(phase, ""), status.get("message") or "")
    story.say(f"[cyan]{phase:<11}[/cyan] [dim]{took:5.1f} s[/dim]  {said}")


def tell_progress(progress: dict[str, Any]) -> str:
    """What the trainer said last, in one line."""
    said = []
    if progress.get("epochs"):
        said.append(f"epoch {progress.get('epoch', 0)}/{progress['epochs']}")
    losses = progress.get("losses") or {}
    if losses:
        said.append(f"loss {losses['total']:.3f} (CE {losses['task']:.3f}, KD {losses['distillation']:.3f})")
    if progress.get("studentMetric") is not None:
        said.append(f"student {progress['studentMetric']:.3f}")
    if progress.get("teacherMetric") is not None:
        said.append(f"teacher {progress['teacherMetric']:.3f}")
    if progress.get("secondsRemaining") is not None:
        said.append(f"{progress['secondsRemaining']} s left")
    return "  ".join(said)


def comparison(job: dict[str, Any]) -> Table:
    """Student against teacher, as status.result says."""
    result = job["status"]["result"]
    level = round(result["drop"]["confidence"] * 100)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("", "teacher", "student", ""):
        table.add_column(column, justify="left" if not column else "right")
    models = [result["teacher"], result["student"]]
    table.add_row(
        result["metric"], *(f"{m['metric']:.4f}" for m in models), f"{100 * result['retained']:.1f} % kept"
    )
    table.add_row(f"{level} % interval", *(f"{m['metricLow']:.3f}–{m['metricHigh']:.3f}" for m in models), "")
    table.add_row(
        "parameters", *(f"{m['parameters']:,}" for m in models), f"{result['compression']:.1f}× smaller"
    )
    table.add_row("latency p50", *(f"{1000 * m['latencyP50Seconds']:.2f} ms" for m in models), "")
    table.add_row(
        "agreement", "", f"{100 * result['agreement']:.1f} %", f"on {result['samples']} test samples"
    )
    return table
