"""Stopped anywhere and started again, a run ends exactly as if it had not been stopped."""

import os
import re
import signal
import subprocess
import sys

import pytest

from distill_api.contract import ExitCode


def checkpoints(workspace):
    return sorted((workspace.output / "checkpoints").glob("abababababab/*/step-*"))


@pytest.fixture
def uninterrupted(workspace):
    return workspace.train(output={"uri": "pvc://models/whole"}).outcome.result


def chain(workspace, stops, **changes):
    """Starts that are stopped one after the other, then one that ends; its result."""
    for stop in stops:
        assert workspace.train(stop, **changes).code is ExitCode.DISRUPTED
    return workspace.train(**changes).outcome.result


def test_bit_exact_wherever_it_was_stopped(workspace, uninterrupted, stop_after):
    for name, looks in (("early", [4]), ("middle", [11]), ("thrice", [6, 9, 13])):
        stops = [stop_after(count) for count in looks]
        resumed = chain(workspace, stops, output={"uri": f"pvc://models/{name}"})
        assert resumed.artifact.digest == uninterrupted.artifact.digest, name
        assert (resumed.student.metric, resumed.drop) == (uninterrupted.student.metric, uninterrupted.drop)


def test_sgd_resumes_with_its_momentum(workspace, stop_after):
    changes = {"training": {"optimizer": "SGD", "gradientClip": 1.0}}
    whole = workspace.train(**changes, output={"uri": "pvc://models/whole"}).outcome.result
    assert chain(workspace, [stop_after(8)], **changes).artifact.digest == whole.artifact.digest


def test_a_torn_checkpoint_is_passed_over_and_that_is_said(workspace, uninterrupted, stop_after, caplog):
    workspace.train(stop_after(25))
    older, newest = checkpoints(workspace)
    state = newest / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-100])
    (older.parent / ".step-000000099-epoch-000009.1.tmp").mkdir()  # a process that was killed while it wrote
    assert workspace.train().outcome.result.artifact.digest == uninterrupted.artifact.digest
    assert newest.name in caplog.text
    assert older.name not in caplog.text


def test_another_recipe_starts_from_nothing(workspace, stop_after, caplog):
    workspace.train(stop_after(25))
    with caplog.at_level("INFO"):
        workspace.train(training={"seed": 1}, recipeDigest="sha256:" + "cd" * 32)
        assert "going on from the checkpoint" not in caplog.text
        workspace.train()
        assert "going on from the checkpoint" in caplog.text


def test_other_data_under_the_same_recipe_neither_resumes_nor_disturbs(
    workspace, uninterrupted, stop_after, caplog
):
    workspace.train(stop_after(25))
    with caplog.at_level("INFO"):
        workspace.train(dataset={"builtin": {"name": "digits"}, "limit": 100})
        assert "going on from the checkpoint" not in caplog.text
        assert workspace.train().outcome.result.artifact.digest == uninterrupted.artifact.digest
        assert "going on from the checkpoint" in caplog.text


def test_sigterm_saves_and_ends_as_disrupted(workspace):
    document = workspace.config(training={"epochs": 2000})
    with subprocess.Popen(
        [sys.executable, "-m", "distill_trainer", "--config", workspace.write(document)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:
        said = []
        for line in process.stderr:
            said.append(line)
            if "epoch 1/" in line:
                process.send_signal(signal.SIGTERM)
                break
        rest = "".join(said) + process.stderr.read()
    assert process.returncode == ExitCode.DISRUPTED, rest
    step = int(re.search(r"stopped by a signal at step (\d+)", rest)[1])
    newest = checkpoints(workspace)[-1]
    assert newest.name.startswith(f"step-{step:09d}-")
    assert "Traceback" not in rest
