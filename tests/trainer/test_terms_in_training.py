"""One short training a type of term: the loss goes down, each term is shown by its name, and a stopped run goes on exactly."""

import json
import math

import pytest
import torch
from safetensors.torch import load_file

from distill_api.contract import ExitCode
from distill_trainer.exposition import exposition
from distill_trainer.progress import ProgressBoard

PAIRS = [{"teacher": "features.3", "student": "features.3"}]
WIDER = [{"teacher": "features.4", "student": "features.3", "projection": "Linear"}]
TERMS = {
    "KLDivergence": {"type": "KLDivergence"},
    "KLDivergence Reverse": {"type": "KLDivergence", "variant": "Reverse"},
    "KLDivergence JensenShannon": {"type": "KLDivergence", "variant": "JensenShannon", "beta": 0.3},
    "KLDivergence Skewed": {"type": "KLDivergence", "variant": "Skewed"},
    "MSELogits": {"type": "MSELogits"},
    "SoftTargetCrossEntropy": {"type": "SoftTargetCrossEntropy"},
    "AttentionTransfer": {"type": "AttentionTransfer", "weight": 100, "pairs": PAIRS},
    "Hint": {"type": "Hint", "weight": 0.01, "pairs": WIDER},
    "Relational": {"type": "Relational", "weight": 10},
    "Contrastive": {"type": "Contrastive", "negatives": 64, "dimension": 32},
    "Decoupled": {"type": "Decoupled"},
}
LEARNING = {"Hint": WIDER, "Contrastive": PAIRS}


def history(workspace, ended):
    assert ended.code is ExitCode.SUCCEEDED, ended.outcome
    return json.loads((workspace.version(ended) / "result.json").read_text())["detail"]["history"]


@pytest.mark.parametrize(("name", "term"), TERMS.items(), ids=TERMS.keys())
def test_the_loss_of_each_type_goes_down(workspace, monkeypatch, name, term):
    shown = []
    monkeypatch.setattr(
        ProgressBoard, "steps", lambda board, **values: shown.append(values["losses"])
    )  # what readers of /status see, batch by batch
    monkeypatch.setattr("distill_trainer.loop.DRAIN_EVERY", 1)
    ended = workspace.train(training={"epochs": 1, "batchSize": 16}, objective={"alpha": 0, "terms": [term]})
    [epoch] = history(workspace, ended)
    assert list(epoch["terms"]) == [name]
    values = [losses.terms[0].value for losses in shown]
    assert all(map(math.isfinite, values))
    assert {losses.terms[0].name for losses in shown} == {name}
    third = len(values) // 3
    assert sum(values[-third:]) < sum(values[:third]), values
    assert epoch["terms"][name] == pytest.approx(sum(values) / len(values))
    assert name in (workspace.version(ended) / "report.html").read_text()


def test_several_terms_are_weighed_and_shown_apart(workspace):
    terms = [
        TERMS["KLDivergence"],
        TERMS["AttentionTransfer"],
        {"type": "Relational", "pairs": PAIRS, "angle": 0},
    ]
    [epoch] = history(
        workspace, workspace.train(training={"epochs": 1}, objective={"alpha": 0.3, "terms": terms})
    )
    kl, attention, relational = epoch["terms"].values()
    assert epoch["distillation_loss"] == pytest.approx(kl + 100 * attention + relational, rel=1e-5)
    assert epoch["loss"] == pytest.approx(
        0.3 * epoch["task_loss"] + 0.7 * epoch["distillation_loss"], rel=1e-5
    )


def test_naming_the_default_changes_nothing(workspace):
    digests = [
        workspace.train(
            output={"uri": f"pvc://models/{name}"}, objective=objective, training={"epochs": 1}
        ).outcome.result.artifact.digest
        for name, objective in (
            ("short", {"temperature": 3}),
            (
                "long",
                {"terms": [{"type": "KLDivergence", "variant": "Forward", "temperature": 3, "weight": 1}]},
            ),
        )
    ]
    assert digests[0] == digests[1]


@pytest.mark.parametrize(("name", "pairs"), LEARNING.items(), ids=LEARNING.keys())
def test_what_the_objective_learns_is_resumed_bit_for_bit_and_never_exported(
    workspace, stop_after, name, pairs
):
    objective = {"terms": [{**TERMS[name], "pairs": pairs}]}
    changes = {"objective": objective, "training": {"epochs": 2, "gradientClip": 5.0}}
    whole = workspace.train(**changes, output={"uri": "pvc://models/whole"}).outcome.result
    assert workspace.train(stop_after(9), **changes).code is ExitCode.DISRUPTED
    [state] = (workspace.output / "checkpoints").glob("abababababab/*/step-*/state.safetensors")
    kept = {key: value for key, value in load_file(state).items() if key.startswith("objective/")}
    assert len(kept) == {"Hint": 2, "Contrastive": 6}[name]
    ended = workspace.train(**changes)
    assert ended.outcome.result.artifact.digest == whole.artifact.digest
    newest = max((workspace.output / "checkpoints").glob("abababababab/*/step-*/state.safetensors"))
    later = load_file(newest)
    assert all(not torch.equal(value, later[key]) for key, value in kept.items())
    exported = load_file(workspace.version(ended) / "model.safetensors")
    assert {key.partition(".")[0] for key in exported} == {"features", "fc"}


def test_metrics_name_each_term():
    from distill_api.status import Losses, TermLoss

    board = ProgressBoard()
    board.begin(step=0, total_steps=10, epochs=2)
    losses = Losses(total=1, task=1, distillation=1, terms=[TermLoss(name="KLDivergence Reverse", value=0.5)])
    board.steps(step=3, epoch=1, samples=96, losses=losses)
    assert (
        'distill_train_term_loss{term="KLDivergence Reverse"} 0.5' in exposition(board, "accuracy").decode()
    )
