"""Every end is an exit code, one sentence and a termination message that fits."""

import json
import socket
import urllib.request

import pytest

from distill_api.contract import ExitCode, Outcome
from distill_api.status import Artifact, Drop, Lineage, Losses, MeasuredOn, ModelResult, Result
from distill_trainer import outcome, program
from distill_trainer.progress import ProgressBoard
from distill_trainer.serve_progress import serving


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("{nonsense", ["is no JSON"]),
        ("[1]", ["holds a list"]),
        ({"objective": {"alpha": 1.5}}, ["objective.alpha is 1.5"]),
        ({"objective": {"temperature": 0}}, ["objective.temperature is 0"]),
        ({"trainin": {}}, ["trainin is no field", "did you mean training?"]),
        ({"student": {}}, ["student", "set exactly one of builtin, huggingFace, timm, torchvision, python"]),
        ({"output": {"uri": "s3://bucket/x"}}, ["output.uri"]),
        ({"output": {"uri": "pvc://models/" + "x" * 1000}}, ["output", "must have at most 900 bytes"]),
        ({"output": {"uri": "pvc://models/../other"}}, ["output.uri", "without .."]),
    ],
)
def test_bad_config_is_one_sentence(workspace, capsys, change, words):
    document = change if isinstance(change, str) else {**workspace.config(), **change}
    ended = workspace.run("train", document)
    assert ended.code is ExitCode.CONFIG_INVALID
    assert ended.outcome.reason == "ConfigInvalid"
    assert all(word in ended.outcome.message for word in words), ended.outcome.message
    said = capsys.readouterr().err
    assert ended.outcome.message in said
    assert "Traceback" not in said


def test_a_config_that_is_not_there(workspace, tmp_path):
    assert program.run("train", tmp_path / "none.json", None) is ExitCode.CONFIG_INVALID


def test_the_unexpected_has_one_sentence_too(workspace, monkeypatch, caplog):
    def explode(*_):
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr(program, "train", explode)
    ended = workspace.train()
    assert (ended.code, ended.outcome.reason) == (ExitCode.FAILED, "Unexpected")
    assert "RuntimeError: first line" in ended.outcome.message
    assert "second line" not in ended.outcome.message
    assert "second line" in caplog.text
    assert "Traceback" in caplog.text


def extreme_outcome():
    model = ModelResult(
        metric=1 / 3,
        metric_low=1 / 3,
        metric_high=1 / 3,
        parameters=10**15,
        bytes=10**16,
        latency_p50_seconds=1 / 3,
        latency_p99_seconds=1 / 3,
        samples_per_second=1234567.0,
        joules_per_thousand_samples=0.0001234,
    )
    measured_on = MeasuredOn(device="x" * 64, threads=128, batch_size=10**6, energy="x" * 256)
    uri = "pvc://" + "🦉" * 210 + "/versions/0123456789ab"
    digest = "sha256:" + "f" * 64
    result = Result(
        metric="accuracy", samples=10**9, student=model, teacher=model, drop=Drop(value=1 / 3, low=-1 / 3, high=1 / 3, confidence=0.95),
        agreement=1 / 3, compression=1 / 3, retained=1 / 3, artifact=Artifact(uri=uri, digest=digest, bytes=10**15), report=uri, measured_on=measured_on,
    )  # fmt: skip
    lineage = Lineage(
        teacher_digest=digest, dataset_digest=digest, recipe_digest=digest, student_digest=digest
    )
    return Outcome(reason="Succeeded", message="🦉" * 1500, result=result, lineage=lineage)


def test_the_termination_message_always_fits_and_keeps_the_result():
    raw = outcome.encode(extreme_outcome())
    assert len(raw) < 4096
    assert Outcome.model_validate_json(raw).result == extreme_outcome().result


@pytest.mark.parametrize("text", ["x" * 100_000, "\x00" * 3000, "🦉" * 3000, '"\\' * 3000, "\ud800" * 10])
def test_any_message_fits(text):
    raw = outcome.encode(outcome.outcome("R" * 100, text))
    assert len(raw) < 4096
    assert Outcome.model_validate_json(raw).message


def test_status_metrics_and_health_over_http(workspace):
    board = ProgressBoard()
    board.begin(step=0, total_steps=10, epochs=2)
    board.steps(step=3, epoch=1, samples=96, losses=Losses(total=1.5, task=1.0, distillation=2.0))
    board.metrics(student=0.5, teacher=0.75)
    with serving(board, metric="accuracy") as port:
        get = lambda path: urllib.request.urlopen(f"http://127.0.0.1:{port}{path}").read().decode()  # noqa: E731
        status, metrics = json.loads(get("/status")), get("/metrics")
        assert get("/healthz") == "ok\n"
    assert (status["step"], status["totalSteps"], status["percent"]) == (3, 10, 30)
    assert status["losses"] == {"total": 1.5, "task": 1.0, "distillation": 2.0}
    for line in (
        "distill_train_kd_loss 2.0",
        "distill_train_samples_total 96.0",
        'distill_eval_teacher_metric{metric="accuracy"} 0.75',
    ):
        assert line in metrics.splitlines()


def test_a_taken_port_stops_nothing(workspace, monkeypatch, caplog):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("DISTILL_HTTP_PORT", str(taken.getsockname()[1]))
        with serving(ProgressBoard(), metric="accuracy") as port:
            assert port is None
    assert "the training goes on" in caplog.text
