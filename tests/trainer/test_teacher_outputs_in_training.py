"""Whole runs: stored outputs train the student that the teacher beside it trains, and nothing is computed twice."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from text_world import write_sentences, write_student, write_teacher

from distill_api.contract import ExitCode
from distill_trainer import loop
from distill_trainer.tasks.image_classification import ImageClassification
from distill_trainer.teacher_outputs import fill as filling
from distill_trainer.teacher_outputs.teacher_pass import TeacherPass

SGD = {"optimizer": "SGD", "learningRate": 0.05, "epochs": 2}


@pytest.fixture
def losses(monkeypatch):
    """Total, task, distillation and terms of every step."""
    seen = []
    real = loop.train_step

    def step(*args, **kwargs):
        parts = real(*args, **kwargs)
        seen.append(parts.stacked())
        return parts

    monkeypatch.setattr(loop, "train_step", step)
    return seen


@pytest.fixture
def asked(monkeypatch):
    """How many samples the teacher is shown to fill a store, batch by batch."""
    seen = []
    real = TeacherPass.__call__
    monkeypatch.setattr(
        TeacherPass, "__call__", lambda self, batch: (seen.append(len(batch)), real(self, batch))[1]
    )
    return seen


def run(workspace, losses, name, outputs, **changes):
    """The steps' losses and the student's weights."""
    losses.clear()
    training = {**SGD, **changes.pop("training", {})}
    ended = workspace.train(
        teacherOutputs=outputs, output={"uri": f"pvc://models/{name}"}, training=training, **changes
    )
    assert ended.code is ExitCode.SUCCEEDED, ended.outcome.message
    digest = ended.outcome.result.artifact.uri.rpartition("/")[2]
    folder = workspace.root / "claims/models" / name / "versions" / digest
    return torch.stack(losses), load_file(folder / "model.safetensors"), folder


def same(one, other):
    torch.testing.assert_close(one[0], other[0], rtol=0, atol=1e-5)
    for name, weight in one[1].items():
        torch.testing.assert_close(other[1][name], weight, rtol=1e-4, atol=1e-5)


def stores(workspace, name):
    return sorted((workspace.root / "claims/models" / name / "teacher-outputs").glob("*"))


TERMS = {
    "default": None,
    "every loss of logits": [
        {"type": "KLDivergence", "variant": "Reverse", "temperature": 2},
        {"type": "MSELogits", "weight": 0.1},
        {"type": "Decoupled", "weight": 0.1},
        {"type": "Relational"},
    ],
    "layers": [
        {"type": "KLDivergence"},
        {
            "type": "Hint",
            "weight": 0.01,
            "pairs": [{"teacher": "features.2", "student": "features.2", "projection": "Linear"}],
        },
    ],
}


@pytest.mark.parametrize(
    ("terms", "batch_size"), [("default", 32), ("default", 50), ("every loss of logits", 50), ("layers", 50)]
)
def test_online_and_cached_train_the_same_student(workspace, losses, terms, batch_size):
    changes = {"training": {"batchSize": batch_size}}
    if TERMS[terms]:
        changes["objective"] = {"terms": TERMS[terms]}
    online = run(workspace, losses, "online", {"mode": "Online"}, **changes)
    cached = run(workspace, losses, "cached", {"mode": "Cached"}, **changes)
    same(online, cached)
    assert not stores(workspace, "online")


def test_hidden_states_train_the_same_student(workspace, losses):
    online = run(workspace, losses, "online", {"mode": "Online"})
    same(online, run(workspace, losses, "hidden", {"mode": "Cached", "encoding": "HiddenState"}))
    (store,) = stores(workspace, "hidden")
    (head,) = store.glob("head-*.safetensors")
    whole = head.read_bytes()
    head.write_bytes(whole[:-4])
    cached = {"mode": "Cached", "encoding": "HiddenState", "store": {"uri": "pvc://models/hidden"}}
    same(online, run(workspace, losses, "again", cached))
    assert head.read_bytes() == whole
    assert head.with_name(head.name + ".torn").exists()


@pytest.mark.parametrize("encoding", ["TopK", "Sampled"])
def test_parts_of_the_distribution_train_nearly_the_same(workspace, losses, encoding):
    online = run(workspace, losses, "online", {"mode": "Online"})
    sparse = run(workspace, losses, "sparse", {"mode": "Cached", "encoding": encoding, "topK": 8})
    assert (sparse[0][:, 2] - online[0][:, 2]).abs().mean() < 0.15 * online[0][:, 2].mean()
    page = (sparse[2] / "report.html").read_text()
    assert f"Cached, {encoding} of 8" in page
    assert "KL error" in page


def test_texts_are_cached_too(workspace, losses):
    """A text's logits do not depend on how long the others of its batch are."""
    write_sentences(workspace.root / "data")
    changes = {
        "task": "TextClassification",
        "teacher": {"huggingFace": {"id": f"file://{write_teacher(workspace.root / 'teacher', steps=20)}"}},
        "student": {"huggingFace": {"id": f"file://{write_student(workspace.root / 'student')}"}},
        "dataset": {"files": {"uri": f"file://{workspace.root / 'data'}", "format": "JsonLines"}},
        "training": {"batchSize": 16},
    }
    online = run(workspace, losses, "online", {"mode": "Online"}, **changes)
    for encoding in ("Dense", "HiddenState"):
        same(online, run(workspace, losses, encoding, {"mode": "Cached", "encoding": encoding}, **changes))


def test_a_second_job_computes_nothing_and_a_larger_one_the_rest_alone(workspace, losses, asked):
    store = {"mode": "Cached", "store": {"uri": "pvc://cache/shared"}}
    first = run(workspace, losses, "first", store)
    assert sum(asked) == 200
    asked.clear()
    again = run(workspace, losses, "again", store, objective={"temperature": 2.0})
    assert asked == []
    assert not torch.equal(first[0], again[0])
    run(workspace, losses, "larger", store, dataset={"builtin": {"name": "digits"}, "limit": 300})
    assert 100 <= sum(asked) < 300  # the limits draw by class: most of the 200 are among the 300
    (folder,) = (workspace.root / "claims/cache/shared/teacher-outputs").iterdir()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["key"]["encoding"] == "Dense"
    assert manifest["fidelity"]["kl_error"] == 0
    assert manifest["fidelity"]["bytes_per_row"] == 40


def test_another_teacher_uses_nothing_of_the_first_one_s(workspace, losses, asked, teacher_weights):
    store = {"mode": "Cached", "store": {"uri": "pvc://cache/shared"}}
    first = run(workspace, losses, "first", store)
    weights = load_file(teacher_weights)
    name = next(key for key in weights if key.endswith("bias"))
    weights[name][0] += 1
    save_file(weights, workspace.root / "other.safetensors")
    asked.clear()
    other = {
        "builtin": {"name": "convnet-small"},
        "weights": {"uri": f"file://{workspace.root / 'other.safetensors'}"},
    }
    second = run(workspace, losses, "second", store, teacher=other)
    assert sum(asked) == 200
    assert not torch.allclose(first[0], second[0])
    assert len(list((workspace.root / "claims/cache/shared/teacher-outputs").iterdir())) == 2
    same(run(workspace, losses, "online", {"mode": "Online"}, teacher=other), second)


def test_a_torn_shard_is_computed_again(workspace, losses, asked, monkeypatch, caplog):
    monkeypatch.setattr(filling, "SHARD_BYTES", 1)
    monkeypatch.setattr("distill_trainer.tasks.image_classification.BATCH", 50)
    store = {"mode": "Cached", "store": {"uri": "pvc://cache/shared"}}
    whole = run(workspace, losses, "whole", store)
    (folder,) = (workspace.root / "claims/cache/shared/teacher-outputs").iterdir()
    shards = sorted(folder.glob("*.safetensors"))
    assert len(shards) == 4
    shards[0].write_bytes(shards[0].read_bytes()[:-8])
    asked.clear()
    again = run(workspace, losses, "again", store)
    assert asked == [50]
    assert "set aside" in caplog.text
    assert torch.equal(whole[0], again[0])
    assert all(torch.equal(whole[1][name], again[1][name]) for name in whole[1])


def test_stopped_while_filling_and_while_training_it_ends_bit_equal(
    workspace, losses, asked, monkeypatch, stop_after
):
    monkeypatch.setattr("distill_trainer.tasks.image_classification.BATCH", 16)
    whole = run(workspace, losses, "whole", {"mode": "Cached"})
    asked.clear()
    settings = {
        "teacherOutputs": {"mode": "Cached"},
        "output": {"uri": "pvc://models/stopped"},
        "training": SGD,
    }
    messages = [workspace.train(stop_after(looks), **settings).outcome.message for looks in (5, 9, 28)]
    assert sum("teacher outputs stored" in message for message in messages) >= 2
    assert sum("teacher outputs stored" not in message for message in messages) >= 1
    ended = workspace.train(**settings)
    assert sum(asked) == 200
    assert ended.outcome.result.artifact.digest.removeprefix("sha256:").startswith(whole[2].name)


def test_the_board_tells_how_far_it_is(workspace):
    from distill_trainer import program
    from distill_trainer.stop import StopSignal

    seen = []
    document = workspace.config(teacherOutputs={"mode": "Cached"}, training={"epochs": 1})
    program.run("train", workspace.write(document), StopSignal(), seen.append)
    stages = list(dict.fromkeys(progress.stage for progress in seen))
    assert stages == ["Caching", "Training", "Evaluating", "Writing"]
    assert [progress.percent for progress in seen if progress.stage == "Caching"][-1] == 100


def test_killed_while_filling_the_next_start_computes_the_rest(workspace):
    """SIGKILL, in a process of its own, with a shard for each 4 samples."""
    document = workspace.config(
        teacherOutputs={"mode": "Cached"}, training={"epochs": 1}, dataset={"builtin": {"name": "digits"}}
    )
    script = (
        "import sys; from distill_trainer.teacher_outputs import fill; fill.SHARD_BYTES = 1\n"
        "import distill_trainer.tasks.image_classification as task; task.BATCH = 4\n"
        "from distill_trainer.__main__ import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", script, "--config", str(workspace.write(document))]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        while sum(len(list(folder.glob("*.safetensors"))) for folder in stores(workspace, "run")) < 5:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    (folder,) = stores(workspace, "run")
    left = len(list(folder.glob("*.safetensors")))
    ended = subprocess.run(command, stderr=subprocess.PIPE, text=True, env=environment, check=False)
    assert ended.returncode == 0, ended.stderr
    samples = 1797 - 359 - 144
    found = re.search(r"(\d+) samples found, (\d+) computed", ended.stderr)
    stored, computed = map(int, found.groups())
    assert stored + computed == samples
    assert stored >= 4 * (left - 1)


REFUSED = {
    "a term that needs all logits": (
        {"teacherOutputs": {"encoding": "TopK", "topK": 5}, "objective": {"terms": [{"type": "MSELogits"}]}},
        ("EncodingRefused", "objective.terms[0] (MSELogits) needs all logits"),
    ),
    "relations between logits": (
        {"teacherOutputs": {"encoding": "Sampled"}, "objective": {"terms": [{"type": "Relational"}]}},
        ("EncodingRefused", "objective.terms[0] (Relational) needs all logits"),
    ),
    "draws for another divergence": (
        {
            "teacherOutputs": {"encoding": "Sampled"},
            "objective": {"terms": [{"type": "KLDivergence", "variant": "Reverse"}]},
        },
        ("EncodingRefused", "objective.terms[0].variant Reverse", "use TopK"),
    ),
    "draws at two temperatures": (
        {
            "teacherOutputs": {"encoding": "Sampled"},
            "objective": {"terms": [{"type": "KLDivergence", "temperature": t} for t in (1, 4)]},
        },
        ("EncodingRefused", "the terms have 1, 4"),
    ),
    "more than there are": (
        {"teacherOutputs": {"encoding": "TopK", "topK": 10}},
        ("EncodingRefused", "topK is 10 and there are 10 classes"),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_before_training(workspace, name):
    changes, (reason, *words) = REFUSED[name]
    ended = workspace.check(**changes)
    assert (ended.code, ended.outcome.reason) == (ExitCode.CONTRACT_BROKEN, reason)
    assert all(word in ended.outcome.message for word in words), ended.outcome.message


def test_a_store_that_cannot_be_written_is_refused(workspace):
    (workspace.root / "claims").mkdir()
    (workspace.root / "claims/cache").write_text("a file where a folder should be")
    ended = workspace.check(teacherOutputs={"store": {"uri": "pvc://cache/x"}})
    assert ended.outcome.reason == "StoreNotWritable"
    assert "teacherOutputs.store.uri" in ended.outcome.message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "teacher outputs: Cached, Dense, 7.812 KiB: 200 samples of 40 bytes (exact, and it fits)"),
        ({"training": {"epochs": 1}}, "teacher outputs: Online (in a single epoch"),
        ({"objective": {"alpha": 1}}, "teacher outputs: Online (objective.alpha is 1"),
        ({"teacherOutputs": {"budget": "4k"}}, "teacher outputs: Online (Dense would take 7.812 KiB"),
    ],
)
def test_the_check_says_what_will_be_done(workspace, changes, words):
    assert words in workspace.check(**changes).outcome.message


def test_layers_of_texts_go_online_and_are_refused_when_cached(workspace):
    write_sentences(workspace.root / "data")
    layer = "model.bert.encoder.layer.0"
    changes = {
        "task": "TextClassification",
        "teacher": {"huggingFace": {"id": f"file://{write_teacher(workspace.root / 'teacher', steps=1)}"}},
        "student": {"huggingFace": {"id": f"file://{write_student(workspace.root / 'student')}"}},
        "dataset": {"files": {"uri": f"file://{workspace.root / 'data'}", "format": "JsonLines"}},
        "objective": {"terms": [{"type": "Hint", "pairs": [{"teacher": layer, "student": layer}]}]},
    }
    assert "Online (layer" in workspace.check(**changes).outcome.message
    ended = workspace.check(**changes, teacherOutputs={"mode": "Cached"})
    assert ended.outcome.reason == "OutputsNotCacheable"
    assert "as long as the batch's longest text" in ended.outcome.message


def test_augmented_samples_go_online_and_are_refused_when_cached(workspace, monkeypatch):
    real = ImageClassification.describe

    def describe(self, config, sources):
        return replace(real(self, config, sources), augmented="random flips")

    monkeypatch.setattr(ImageClassification, "describe", describe)
    assert "Online (the samples are augmented at random (random flips)" in workspace.check().outcome.message
    ended = workspace.check(teacherOutputs={"mode": "Cached"})
    assert ended.outcome.reason == "OutputsNotCacheable"
    assert "set it to Online" in ended.outcome.message
