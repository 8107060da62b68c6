"""The gate judges estimates, or bounds where a confidence is given, and says all figures."""

import pytest

from distill_api.delivery import Gate
from distill_api.gate import judge
from distill_api.status import Artifact, Drop, ModelResult, Result


def model(metric, low, high):
    return ModelResult(
        metric=metric,
        metric_low=low,
        metric_high=high,
        parameters=10,
        bytes=40,
        latency_p50_seconds=0.001,
        latency_p99_seconds=0.002,
    )


RESULT = Result(
    metric="accuracy",
    samples=360,
    student=model(0.979, 0.965, 0.99),
    teacher=model(0.988, 0.977, 0.997),
    drop=Drop(value=0.009, low=0.003, high=0.016, confidence=0.95),
    agreement=0.98,
    compression=12.0,
    retained=0.991,
    artifact=Artifact(uri="pvc://m/v", digest="sha256:0", bytes=40),
    report="pvc://m/v/report.html",
)


@pytest.mark.parametrize(
    ("gate", "passed", "reason"),
    [
        ({"max_drop_vs_teacher": 0.02}, True, "GatePassed"),
        ({"max_drop_vs_teacher": 0.009}, True, "GatePassed"),
        ({"max_drop_vs_teacher": 0.008}, False, "DropTooLarge"),
        ({"max_drop_vs_teacher": 0.01, "confidence": 0.95}, False, "DropTooLarge"),
        ({"max_drop_vs_teacher": 0.016, "confidence": 0.95}, True, "GatePassed"),
        ({"min_value": 0.979}, True, "GatePassed"),
        ({"min_value": 0.98}, False, "ValueTooSmall"),
        ({"min_value": 0.97, "confidence": 0.95}, False, "ValueTooSmall"),
        ({"max_drop_vs_teacher": 0.02, "min_value": 0.99}, False, "ValueTooSmall"),
        ({"max_drop_vs_teacher": 0.001, "min_value": 0.99}, False, "DropTooLarge"),
    ],
)
def test_judgement(gate, passed, reason):
    judgement = judge(Gate(**gate), RESULT)
    assert (judgement.passed, judgement.reason) == (passed, reason)


def test_the_sentence_holds_the_figures():
    assert judge(Gate(max_drop_vs_teacher=0.02), RESULT).message == (
        "accuracy: student 0.979 against teacher 0.988; drop 0.009, 95 % interval 0.003 to 0.016, allowed 0.02; "
        "the estimate is judged, on 360 samples"
    )
