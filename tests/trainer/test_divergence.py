"""A loss that is lost, and a disk that is full: back once, then the reason; what was written stays whole."""

import json
import math
import resource

import pytest

from distill_api.contract import ExitCode
from distill_trainer import loop
from distill_trainer.checkpoint import CheckpointStore, Identity
from distill_trainer.divergence import is_lost
from distill_trainer.errors import UserError
from distill_trainer.snapshot import EpochRecord, Position, Snapshot


@pytest.fixture
def broken_steps(monkeypatch):
    """Numbers of the calls, from 0, whose weights become NaN; and the learning rates of all."""
    real, broken, rates = loop.train_step, set(), []

    def step(student, *args, **kwargs):
        losses = real(student, *args, **kwargs)
        if len(rates) in broken:
            next(student.parameters()).data.fill_(math.nan)
        rates.append(kwargs["rate"])
        return losses

    monkeypatch.setattr(loop, "train_step", step)
    return broken, rates


CONSTANT = {"schedule": "Constant", "warmupRatio": 0, "learningRate": 0.01}


@pytest.mark.parametrize("at", [2, 9], ids=["before the first checkpoint", "after one"])
def test_a_lost_loss_goes_back_once_at_half_the_rate_and_says_so(workspace, broken_steps, caplog, at):
    broken, rates = broken_steps
    broken.add(at)
    ended = workspace.train(training=CONSTANT)
    assert ended.code is ExitCode.SUCCEEDED, ended.outcome
    assert rates[at] == 0.01
    assert rates[-1] == 0.005
    said = "the training went back to its last checkpoint and on at half of training.learningRate 0.01"
    assert said in caplog.text
    assert said in ended.outcome.message
    assert said in (workspace.version(ended) / "report.html").read_text()
    history = json.loads((workspace.version(ended) / "result.json").read_text())["detail"]["history"]
    assert [epoch["epoch"] for epoch in history] == [1, 2, 3]
    assert all(math.isfinite(epoch["loss"]) for epoch in history)


def test_lost_again_it_fails_with_the_reason(workspace, broken_steps):
    broken, _ = broken_steps
    broken.update(range(1000))
    ended = workspace.train(training=CONSTANT)
    assert (ended.code, ended.outcome.reason) == (ExitCode.DIVERGED, "Diverged")
    assert "at half the rate too" in ended.outcome.message


def epoch(loss):
    return EpochRecord(1, loss, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("losses", "mean", "history", "lost"),
    [
        ((1.0, math.nan), 1.0, (), True),
        ((math.inf,), math.inf, (), True),
        ((500.0,), 500.0, (), False),
        ((201.0,), 201.0, (epoch(2.0),), True),
        ((199.0,), 199.0, (epoch(2.0), epoch(0.001)), False),
        ((5.0,), 5.0, (epoch(0.0),), False),
    ],
)
def test_what_counts_as_lost(losses, mean, history, lost):
    assert is_lost(losses, mean, history) is lost


def test_a_full_disk_leaves_the_checkpoint_before_it_whole(tmp_path):
    import torch

    def snapshot(step, size):
        states = {"weight": torch.full((size,), float(step))}
        return Snapshot(Position(step=step), (), None, states, {}, {})

    store = CheckpointStore(tmp_path, Identity("sha256:" + "a" * 64, "sha256:b", "sha256:c"))
    store.save(snapshot(1, 10))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(UserError, match="checkpoint of step 2 cannot be written") as fault:
            store.save(snapshot(2, 100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert fault.value.reason == "CheckpointNotWritten"
    assert [path.name for path in store.folder.iterdir()] == ["step-000000001-epoch-000001"]
    assert store.latest().position.step == 1
    assert store.save(snapshot(2, 100_000)).is_dir()
