"""Easy samples first: the order by hand, the pace, steps that are counted right, the same on all processes and after a stop."""

import json

import pytest
import torch

from distill_api.contract import ExitCode
from distill_api.curriculum import Order, Sampling
from distill_trainer import loop
from distill_trainer.checkpoint import CheckpointStore
from distill_trainer.curriculum import timetable
from distill_trainer.curriculum.difficulty import in_order, label_log_probability
from distill_trainer.curriculum.pacing import samples_of, share_of
from distill_trainer.losses import Outputs
from distill_trainer.losses.fused import Head
from distill_trainer.losses.term import Unprojected
from distill_trainer.order import epoch_batches

EASY = {"sampling": {"startFraction": 0.25, "fullAtEpoch": 3}}


def test_the_pace_by_hand():
    sampling = Sampling(start_fraction=0.2, full_at_epoch=5)
    assert [share_of(epoch, sampling) for epoch in range(1, 7)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])
    assert [samples_of(epoch, sampling, 101) for epoch in range(1, 7)] == [21, 41, 61, 81, 101, 101]
    assert [samples_of(epoch, sampling, 100) for epoch in (1, 2)] == [20, 40]  # no rounding up of 0.4 · 100
    assert samples_of(1, Sampling(start_fraction=0.001, full_at_epoch=2), 10) == 1
    assert samples_of(1, None, 10) == 10


def test_steps_follow_the_samples():
    table = timetable([2, 1], [8, 17, 20], batch_size=8)  # 17 is 8 and 9
    assert [(span.first, span.steps) for span in table.epochs] == [(0, 1), (1, 2), (3, 3)]
    assert [(span.first, span.steps) for span in table.stages] == [(0, 3), (3, 3)]
    assert [table.epoch_at(step) for step in range(6)] == [1, 2, 2, 3, 3, 3]
    assert table.total == 6


def test_each_class_comes_with_its_share():
    scores = torch.tensor([-0.1, -0.2, -0.3, -0.4, -5.0, -6.0], dtype=torch.float64)
    classes = torch.tensor([0, 0, 0, 0, 1, 1])
    # places within the class: 0 → 1/8, 3/8, 5/8, 7/8 and 1 → 1/4, 3/4
    assert in_order(scores, classes, Order.EASY_TO_HARD).tolist() == [0, 4, 1, 2, 5, 3]
    assert in_order(scores, classes, Order.HARD_TO_EASY).tolist() == [3, 5, 2, 1, 4, 0]
    assert in_order(torch.zeros(4, dtype=torch.float64), torch.zeros(4), Order.EASY_TO_HARD).tolist() == [
        0,
        1,
        2,
        3,
    ]


def test_confidence_is_that_of_the_label_and_a_mean_over_what_counts():
    logits = torch.tensor([[2.0, 0.0, 0.0], [2.0, 0.0, 0.0]])
    sure, contradicted = label_log_probability(Outputs(logits), torch.tensor([0, 1]), None, 3).tolist()
    assert sure == pytest.approx(2 - torch.tensor([2.0, 0.0, 0.0]).logsumexp(0).item())
    assert contradicted == pytest.approx(sure - 2)
    words = torch.randn(3, 4, 5)
    labels, mask = (
        torch.randint(0, 4, (3, 4)),
        torch.tensor([[1, 1, 0, 0], [0, 0, 0, 0], [1, 0, 1, 1]]).bool(),
    )
    found = label_log_probability(Outputs(words), labels, mask, 4).tolist()
    log_p = words[..., :4].log_softmax(-1)  # the fifth column stands for nothing
    for sample in (0, 2):
        counted = [log_p[sample, at, labels[sample, at]].item() for at in range(4) if mask[sample, at]]
        assert found[sample] == pytest.approx(sum(counted) / len(counted), rel=1e-6)
    assert found[1] == -torch.inf


def test_hidden_states_give_what_their_logits_give():
    states, weight = torch.randn(2, 3, 6), torch.randn(5, 6)
    labels, mask = torch.randint(0, 5, (2, 3)), torch.tensor([[1, 0, 1], [1, 1, 1]]).bool()
    whole = label_log_probability(Outputs(states @ weight.T), labels, mask, 5)
    hidden = Outputs(torch.empty(0), unprojected=Unprojected(states[mask], Head(weight)))
    torch.testing.assert_close(label_log_probability(hidden, labels, mask, 5), whole)


def test_an_epoch_shuffles_what_it_takes():
    taken = torch.tensor([7, 3, 9, 1, 5])
    first, second = (
        torch.cat(list(epoch_batches(5, 2, seed=3, epoch=epoch, taken=taken))).tolist() for epoch in (1, 2)
    )
    assert sorted(first) == sorted(second) == [1, 3, 5, 7, 9]
    assert first != second


@pytest.fixture
def seen(monkeypatch):
    """The samples of each epoch, in the order of the steps."""
    epochs, real = [], loop.epoch_batches

    def batches(*args, **kwargs):
        made = real(*args, **kwargs)
        epochs.append(torch.cat(list(made)).tolist())
        return made

    monkeypatch.setattr(loop, "epoch_batches", batches)
    return epochs


def history(workspace, ended):
    assert ended.code is ExitCode.SUCCEEDED, ended.outcome
    return json.loads((workspace.version(ended) / "result.json").read_text())["detail"]["history"]


@pytest.mark.parametrize("mode", ["Online", "Cached"])
def test_a_run_takes_more_and_more_and_all_in_the_end(workspace, seen, mode):
    records = history(workspace, workspace.train(curriculum=EASY, teacherOutputs={"mode": mode}))
    count = len(seen[2])
    assert [len(epoch) for epoch in seen] == [-(-count // 4), -(-count * 5 // 8), count]
    assert set(seen[0]) < set(seen[1]) < set(seen[2]) == set(range(count))
    assert [record["sample_share"] for record in records] == pytest.approx([0.25, 0.625, 1.0])
    assert records[-1]["learning_rate"] < records[0]["learning_rate"]


def test_store_and_teacher_give_one_order_and_the_control_the_opposite(workspace, seen):
    for at, (mode, order) in enumerate(
        [("Online", "EasyToHard"), ("Cached", "EasyToHard"), ("Online", "HardToEasy")]
    ):
        curriculum = {"sampling": {**EASY["sampling"], "order": order, "fullAtEpoch": 2}}
        changes = {
            "teacherOutputs": {"mode": mode},
            "training": {"epochs": 2},
            "recipeDigest": f"sha256:{at}",
        }
        workspace.train(curriculum=curriculum, **changes)
    assert sorted(seen[0]) == sorted(seen[2])
    assert not set(seen[0]) & set(seen[4])


def test_stopped_anywhere_it_goes_on_in_the_same_order(workspace, stop_after, monkeypatch):
    whole = workspace.train(curriculum=EASY, output={"uri": "pvc://models/whole"}).outcome.result
    asked, real = [], loop.ordered_samples
    monkeypatch.setattr(loop, "ordered_samples", lambda *args: asked.append(1) or real(*args))
    saved = []
    save = CheckpointStore.save
    monkeypatch.setattr(
        CheckpointStore, "save", lambda store, each: saved.append(each.position) or save(store, each)
    )
    for looks in (12, 16, 20):
        workspace.train(stop_after(looks), curriculum=EASY)
    assert workspace.train(curriculum=EASY).outcome.result.artifact.digest == whole.artifact.digest
    assert len(asked) <= 1 + sum(1 for position in saved if position.step == 0)


def test_two_processes_take_the_same_samples_as_one(workspace):
    from test_parallel import MLP, SGD, assert_same

    assert_same(
        workspace,
        2,
        student=MLP,
        training=SGD,
        curriculum={"sampling": {"startFraction": 0.5, "fullAtEpoch": 2}},
    )


def test_a_language_model_starts_with_the_likeliest_texts(workspace, tmp_path, seen):
    from language_world import gpt2, write_language_teacher, write_texts

    teacher = write_language_teacher(tmp_path / "teacher", steps=20)
    write_texts(workspace.root / "data")
    gpt2().save_pretrained(workspace.root / "student")
    job = {
        "task": "CausalLM",
        "teacher": {"huggingFace": {"id": f"file://{teacher}"}},
        "student": {"huggingFace": {"id": f"file://{workspace.root / 'student'}"}},
        "dataset": {"files": {"uri": f"file://{workspace.root / 'data'}", "format": "Text"}},
        "training": {"epochs": 2, "batchSize": 8, "learningRate": 0.02},
        "curriculum": {"sampling": {"startFraction": 0.5, "fullAtEpoch": 2}},
    }
    for at, mode in enumerate(("Online", "Cached")):
        history(workspace, workspace.train(**job, recipeDigest=f"sha256:{at}", teacherOutputs={"mode": mode}))
    assert len(seen[0]) == -(-len(seen[1]) // 2)
    assert sorted(seen[0]) == sorted(seen[2])


def test_a_first_share_below_a_batch_is_said(workspace):
    ended = workspace.check(curriculum={"sampling": {"startFraction": 0.1, "fullAtEpoch": 3}})
    assert ended.code is ExitCode.SUCCEEDED
    assert "curriculum.sampling.startFraction 0.1 of" in ended.outcome.message
