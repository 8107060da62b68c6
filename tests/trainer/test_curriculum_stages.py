"""Stages: each its own training of the same student, what a stage leaves alone, and going on exactly across their edge."""

import json

import pytest
import torch

from distill_api.contract import ExitCode
from distill_api.training import Training
from distill_trainer.checkpoint import CheckpointStore
from distill_trainer.curriculum import Course, timetable
from distill_trainer.models import builtin_network
from distill_trainer.schedule import learning_rate

WIDER = [{"teacher": "features.4", "student": "features.3", "projection": "Linear"}]
HINTS = {"type": "Hint", "weight": 0.01, "pairs": WIDER}
FITNETS = {
    "stages": [
        {"name": "hints", "epochs": 2, "objective": {"alpha": 0, "terms": [HINTS]}},
        {"name": "outputs", "epochs": 2, "objective": {"temperature": 3}},
    ]
}


@pytest.fixture
def train(workspace):
    """A run of two stages of two epochs each."""

    def call(stop=None, curriculum=FITNETS, **changes):
        document = workspace.config(curriculum=curriculum, **changes)
        document["training"].pop("epochs")
        return workspace.run("train", document, stop)

    return call


def detail(workspace, ended):
    assert ended.code is ExitCode.SUCCEEDED, ended.outcome
    return json.loads((workspace.version(ended) / "result.json").read_text())["detail"]


def test_each_stage_has_the_whole_learning_rate_schedule():
    training = Training(batch_size=10, learning_rate=0.5, warmup_ratio=0.2)
    way = Course(timetable([1, 3], [50] * 4, 10), training, None, ("first", "second"))
    rates = [way.rate(step) for step in range(20)]
    expected = [learning_rate(step, 5, training) for step in range(5)]
    expected += [learning_rate(step, 15, training) for step in range(15)]
    assert rates == expected
    assert [way.settings(step).training_stage for step in (0, 4, 5, 19)] == [
        "first",
        "first",
        "second",
        "second",
    ]


@pytest.fixture
def saved(monkeypatch):
    """Epoch that comes next → the snapshot that was saved for it."""
    kept, real = {}, CheckpointStore.save

    def save(store, snapshot):
        kept[snapshot.position.epoch] = snapshot
        return real(store, snapshot)

    monkeypatch.setattr(CheckpointStore, "save", save)
    return kept


@pytest.mark.parametrize("optimizer", ["AdamW", "SGD"])
def test_hints_leave_what_is_above_them_alone(train, saved, optimizer):
    train(training={"optimizer": optimizer, "learningRate": 0.001, "weightDecay": 0.1, "epochs": 1})
    torch.manual_seed(0)
    fresh = builtin_network("convnet-tiny", shape=(1, 8, 8), classes=10)
    names = [name for name, _ in fresh.named_parameters()]
    moved = {name for name in names if not torch.equal(saved[3].model[name], fresh.state_dict()[name])}
    below = {name for name in names if name.startswith("features.") and int(name.split(".")[1]) <= 3}
    assert moved == below
    assert set(names) - below >= {"fc.weight", "fc.bias"}
    assert not torch.equal(saved[5].model["fc.weight"], fresh.fc.weight)


def test_the_report_progress_and_log_tell_the_stages(workspace, train, caplog):
    with caplog.at_level("INFO"):
        ended = train()
    assert "hints: epoch 1/4" in caplog.text
    assert "outputs: epoch 4/4" in caplog.text
    history = detail(workspace, ended)["history"]
    assert [record["training_stage"] for record in history] == ["hints", "hints", "outputs", "outputs"]
    assert [list(record["terms"]) for record in history] == [["Hint"]] * 2 + [["KLDivergence"]] * 2
    assert detail(workspace, ended)["bestEpoch"] in {3, 4}
    page = (workspace.version(ended) / "report.html").read_text()
    assert "Training losses: hints" in page
    assert "Training losses: outputs" in page
    assert "hints (2 epochs): α = 0, T = 4; outputs (2 epochs): α = 0.1, T = 3" in page


def test_stopped_within_a_stage_at_its_edge_and_after_it(workspace, train, stop_after):
    whole = train(output={"uri": "pvc://models/whole"}).outcome.result.artifact.digest
    epochs = set()
    for looks in (6, 13, 16, 19, 26):
        name = f"pvc://models/stopped-{looks}"
        assert train(stop_after(looks), output={"uri": name}).code is ExitCode.DISRUPTED
        folder = workspace.output.parent / f"stopped-{looks}"
        newest = max((folder / "checkpoints").glob("abababababab/*/step-*"))
        epochs.add(int(newest.name.partition("-epoch-")[2]))
        assert train(output={"uri": name}).outcome.result.artifact.digest == whole, looks
    assert epochs >= {1, 3}, "a stop within the first stage, and one at the edge or after it"


def test_at_the_edge_optimizer_and_objective_are_those_of_the_next_stage(train, saved):
    train()
    sizes = {epoch: (len(each.optimizer) > 0, len(each.objective)) for epoch, each in saved.items()}
    assert sizes == {
        2: (True, 2),
        3: (False, 0),
        4: (True, 0),
        5: (True, 0),
    }  # the regressor: weight and bias
    assert [saved[epoch].best is None for epoch in (2, 3, 4)] == [True, True, False]
    assert saved[4].best.epoch == 3  # no epoch of hints is ever the best


def test_a_layer_that_is_not_there_is_named_with_its_stage(workspace):
    wrong = [{"teacher": "features.4", "student": "features.33"}]
    stages = [
        *FITNETS["stages"],
        {"name": "more", "epochs": 1, "objective": {"terms": [{"type": "Hint", "pairs": wrong}]}},
    ]
    document = workspace.config(curriculum={"stages": stages})
    del document["training"]["epochs"]
    ended = workspace.run("check", document)
    assert ended.code is ExitCode.CONTRACT_BROKEN
    assert (
        "curriculum.stages[2].objective.terms[0].pairs[0].student is 'features.33'" in ended.outcome.message
    )


def test_layers_of_all_stages_are_stored_once(workspace, train, caplog):
    with caplog.at_level("INFO"):
        cached = detail(workspace, train(teacherOutputs={"mode": "Cached"}))["history"]
    assert caplog.text.count("computed, in") == 1
    online = detail(workspace, train(teacherOutputs={"mode": "Online"}, recipeDigest="sha256:" + "cd" * 32))[
        "history"
    ]
    assert [record["loss"] for record in cached] == pytest.approx(
        [record["loss"] for record in online], rel=1e-3
    )


@pytest.mark.parametrize("strategy", ["DDP", "FSDP"])
def test_two_processes_pass_the_edge_as_one_does(workspace, strategy):
    """With easy samples first: a last window of one leaves a process without any."""
    from test_parallel import SGD, together, trained

    mlp = [{"teacher": "fc", "student": "features.1", "projection": "Linear"}]
    stages = [
        {"name": "hints", "epochs": 1, "objective": {"alpha": 0, "terms": [{**HINTS, "pairs": mlp}]}},
        {"name": "outputs", "epochs": 1, "objective": {}},
    ]
    training = {**SGD, "epochs": 20, "learningRate": 0.001, "batchSize": 9, "strategy": strategy}
    curriculum = {"stages": stages, "sampling": {"startFraction": 0.5, "fullAtEpoch": 2}}
    changes = {"student": {"builtin": {"name": "mlp"}}, "curriculum": curriculum, "training": training}
    workspace.train(**changes, output={"uri": "pvc://models/one"})
    codes, said = together(workspace, 2, **changes, output={"uri": "pvc://models/many"})
    assert codes == [0, 0], said
    (one, _), (many, _) = trained(workspace, "one"), trained(workspace, "many")
    torch.testing.assert_close(many, one, atol=1e-5, rtol=1e-4)


def test_a_language_models_last_layer_is_left_alone_by_hints_with_fused_losses(
    workspace, tmp_path, saved, caplog
):
    from language_world import llama, write_language_teacher, write_texts

    teacher = write_language_teacher(tmp_path / "teacher", steps=20)
    write_texts(workspace.root / "data")
    llama(hidden_size=16, intermediate_size=32).save_pretrained(workspace.root / "student")
    pair = {"teacher": "model.model.layers.1", "student": "model.model.layers.1", "projection": "Linear"}
    stages = [
        {"name": "hints", "epochs": 1, "objective": {"alpha": 0, "terms": [{**HINTS, "pairs": [pair]}]}},
        {"name": "outputs", "epochs": 1, "objective": {"temperature": 1}},
    ]
    document = workspace.config(
        task="CausalLM",
        teacher={"huggingFace": {"id": f"file://{teacher}"}},
        student={"huggingFace": {"id": f"file://{workspace.root / 'student'}"}},
        dataset={"files": {"uri": f"file://{workspace.root / 'data'}", "format": "Text"}},
        curriculum={"stages": stages},
        training={"batchSize": 8, "learningRate": 0.02, "weightDecay": 0.5},
    )
    document["training"].pop("epochs")
    with caplog.at_level("INFO"):
        records = detail(workspace, workspace.run("train", document))["history"]
    assert "losses: fused with the last layer" in caplog.text
    [head] = [name for name in saved[2].model if "lm_head" in name]
    assert [list(record["terms"]) for record in records] == [["Hint"], ["KLDivergence"]]
    before, after = saved[2].model[head], saved[3].model[head]
    layer = next(name for name in saved[2].model if "layers.0.mlp" in name)
    assert not torch.equal(before, after)
    assert not torch.equal(saved[2].model[layer], saved[3].model[layer])
    twice = {
        **document,
        "curriculum": {"stages": [{**stages[0], "epochs": 2}, stages[1]]},
        "recipeDigest": "sha256:2",
    }
    detail(workspace, workspace.run("train", twice))
    assert torch.equal(saved[2].model[head], saved[3].model[head])
    assert torch.equal(saved[2].model[head], before)
    assert not torch.equal(saved[2].model[layer], saved[3].model[layer])
