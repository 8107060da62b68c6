"""The gate: whether a trained student may be served. Pure arithmetic on the trainer's result.

Without `gate.confidence` the point estimates are judged; with it the bounds of their intervals that are worse for
the student: the upper end of the drop, the lower end of the metric. The API's rules see to it that the gate's metric
and confidence are those that were measured. The operator judges with it before it serves a student, the command line
after a training without a cluster.
"""

from __future__ import annotations

from dataclasses import dataclass

from distill_api.delivery import Gate
from distill_api.status import Result


@dataclass(frozen=True)
class Judgement:
    """Passed or not, with a reason and a sentence with all figures."""

    passed: bool
    reason: str
    message: str


def judge(gate: Gate, result: Result) -> Judgement:
    """Judge a result by a gate."""
    sentences = [f"student {result.student.metric:.3f} against teacher {result.teacher.metric:.3f}"]
    reasons = []
    if gate.max_drop_vs_teacher is not None:
        sentences.append(_drop_sentence(gate.max_drop_vs_teacher, result))
        if _drop(gate, result) > gate.max_drop_vs_teacher:
            reasons.append("DropTooLarge")
    if gate.min_value is not None:
        sentences.append(_value_sentence(gate.min_value, gate, result))
        if _value(gate, result) < gate.min_value:
            reasons.append("ValueTooSmall")
    judged = "the bound" if gate.confidence else "the estimate"
    message = f"{gate.metric.value}: {'; '.join(sentences)}; {judged} is judged, on {result.samples} samples"
    return Judgement(not reasons, reasons[0] if reasons else "GatePassed", message)


def _drop(gate: Gate, result: Result) -> float:
    return result.drop.high if gate.confidence else result.drop.value


def _value(gate: Gate, result: Result) -> float:
    return result.student.metric_low if gate.confidence else result.student.metric


def _drop_sentence(allowed: float, result: Result) -> str:
    drop = result.drop
    interval = f"{drop.confidence * 100:g} % interval {drop.low:.3f} to {drop.high:.3f}"
    return f"drop {drop.value:.3f}, {interval}, allowed {allowed:g}"


def _value_sentence(least: float, gate: Gate, result: Result) -> str:
    low = f", lower bound {result.student.metric_low:.3f}" if gate.confidence else ""
    return f"value {result.student.metric:.3f}{low}, at least {least:g} is needed"
