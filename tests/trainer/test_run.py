"""From trainer.json to a version folder, on real digits."""

import json
import re

import pytest
import torch

from distill_api.contract import ExitCode
from distill_api.dataset import Dataset
from distill_trainer.data import load
from distill_trainer.student import load_student
from distill_trainer.weights import file_digest


@pytest.fixture
def ended(workspace):
    return workspace.train()


def test_a_run_ends_with_a_whole_version(workspace, ended):
    assert ended.code is ExitCode.SUCCEEDED
    assert ended.outcome.reason == "Succeeded"
    assert len(ended.raw) < 4096
    result, folder = ended.outcome.result, workspace.version(ended)
    assert {file.name for file in folder.iterdir()} == {
        "student.json",
        "model.safetensors",
        "report.html",
        "result.json",
        "README.md",
    }
    assert result.artifact.digest.removeprefix("sha256:").startswith(folder.name)
    assert result.samples == 359
    assert 0.5 < result.student.metric <= 1
    assert result.student.metric_low <= result.student.metric <= result.student.metric_high
    assert result.drop.value == pytest.approx(result.teacher.metric - result.student.metric)
    assert result.compression == pytest.approx(
        result.teacher.parameters / result.student.parameters, abs=1e-3
    )
    written = json.loads((folder / "result.json").read_text())
    assert written["result"] == ended.outcome.result.wire()
    assert len(written["detail"]["history"]) == 3
    assert sum(map(sum, written["detail"]["confusion"]["student"])) == 359


def test_the_folder_alone_rebuilds_the_student(workspace, ended):
    student = load_student(workspace.version(ended))
    data = load(Dataset.model_validate(workspace.config()["dataset"]), seed=0)
    batch = data.test.batch(torch.arange(len(data.test)))
    probabilities = student.predict(batch.inputs)
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(len(batch)))
    accuracy = (probabilities.argmax(-1) == batch.labels).double().mean().item()
    assert accuracy == pytest.approx(ended.outcome.result.student.metric, abs=1e-9)
    assert student.classes == tuple("0123456789")
    with pytest.raises(ValueError, match=r"takes \[B, 1, 8, 8\]"):
        student.predict(torch.zeros(1, 3, 8, 8))


def test_the_report_is_one_file_without_a_network(workspace, ended):
    page = (workspace.version(ended) / "report.html").read_text()
    assert page.startswith("<!doctype html>")
    assert not re.search(r"(src|href)=[\"'](?!data:)", page)
    assert "prefers-color-scheme: dark" in page
    assert page.count("data:image/png;base64,") >= 1
    assert ended.outcome.lineage.student_digest in page


def test_started_again_it_reports_without_training(workspace, ended):
    folder = workspace.version(ended)
    before = folder.stat().st_mtime_ns
    again = workspace.train()
    assert again.outcome == ended.outcome
    assert folder.stat().st_mtime_ns == before


def test_a_damaged_version_is_made_again(workspace, ended):
    weights = workspace.version(ended) / "model.safetensors"
    good = file_digest(weights)
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\0")
    assert workspace.train().outcome.result.artifact == ended.outcome.result.artifact
    assert file_digest(weights) == good


def test_two_runs_are_bit_equal_and_another_seed_is_not(workspace, ended):
    digests = {
        workspace.train(
            output={"uri": f"pvc://models/{seed}-{copy}"}, training={"seed": seed}
        ).outcome.result.artifact.digest
        for seed, copy in ((0, "a"), (1, "b"))
    }
    assert ended.outcome.result.artifact.digest in digests
    assert len(digests) == 2


def test_a_loss_that_is_lost_ends_the_run(workspace):
    ended = workspace.train(
        training={"optimizer": "SGD", "learningRate": 10, "epochs": 30, "weightDecay": 1},
        objective={"temperature": 100},
    )
    assert ended.code is ExitCode.DIVERGED
    assert ended.outcome.reason == "Diverged"
    assert "training.learningRate 10" in ended.outcome.message
    assert not (workspace.output / "versions").exists()
