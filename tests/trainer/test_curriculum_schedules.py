"""T and α over the steps: values by hand, what each step really takes, where they are shown, and going on exactly."""

import json
import math

import pytest
import torch

from distill_api.contract import ExitCode
from distill_api.curriculum import Curriculum, Shape
from distill_api.training import Training
from distill_trainer.curriculum import Course, Settings, timetable
from distill_trainer.curriculum.schedules import between, share
from distill_trainer.exposition import exposition
from distill_trainer.losses import Outputs, Targets, kl_divergence
from distill_trainer.losses.cross_entropy import cross_entropy
from distill_trainer.losses.registry import build_objective
from distill_trainer.plan import TermPlan
from distill_trainer.progress import ProgressBoard

BOTH = {
    "schedules": {
        "temperature": {"from": 8, "to": 1, "shape": "Cosine", "untilEpoch": 2},
        "alpha": {"from": 0, "to": 0.6},
    }
}


def curriculum(document):
    return Curriculum.model_validate(document)


def test_values_by_hand():
    table = timetable([2], [50, 50], batch_size=10)  # 10 steps
    linear = curriculum({"schedules": {"alpha": {"from": 0.1, "to": 1}}})
    values = [Course(table, Training(), linear).settings(step).alpha for step in range(10)]
    assert values == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    assert values[-1] == 1.0
    early = curriculum(
        {"schedules": {"temperature": {"from": 9, "to": 1, "untilEpoch": 1, "shape": "Cosine"}}}
    )
    temperatures = [Course(table, Training(), early).settings(step).temperature for step in range(10)]
    assert temperatures[:5] == pytest.approx(
        [9, 9 - 8 * (1 - math.sqrt(0.5)) / 2, 5, 1 + 8 * (1 - math.sqrt(0.5)) / 2, 1]
    )
    assert temperatures[4:] == [1.0] * 6
    assert Course(table, Training()).settings(3) == Settings()


@pytest.mark.parametrize("shape", Shape)
def test_limits_of_a_shape(shape):
    assert [share(shape, step, 1) for step in (0, 1)] == [0, 1]
    assert share(shape, 0, 100) == 0
    assert share(shape, 99, 100) == share(shape, 1000, 100) == 1
    assert share(shape, 50, 101) == pytest.approx(0.5)
    assert (between(0.1, 0.7, 0), between(0.1, 0.7, 1)) == (0.1, 0.7)


def test_only_terms_without_a_temperature_of_their_own_follow():
    from distill_api.terms import Term

    own, follows = (Term(type="KLDivergence", temperature=t) for t in (2.0, None))
    objective = build_objective(
        0.1, [TermPlan("own", own, 2.0), TermPlan("follows", follows, 4.0, follows=True)]
    )
    objective.set(alpha=0.7, temperature=3.0)
    student, teacher, labels = torch.randn(5, 4), torch.randn(5, 4), torch.tensor([0, 1, 2, 3, 0])
    parts = objective(Outputs(student), Outputs(teacher), Targets(labels))
    expected = [kl_divergence(student, teacher, 2.0), kl_divergence(student, teacher, 3.0)]
    assert [term.item() for term in parts.terms] == pytest.approx([value.item() for value in expected])
    total = 0.7 * cross_entropy(student, labels) + 0.3 * sum(expected)
    assert parts.total.item() == pytest.approx(total.item())


def history(workspace, ended):
    assert ended.code is ExitCode.SUCCEEDED, ended.outcome
    return json.loads((workspace.version(ended) / "result.json").read_text())["detail"]["history"]


def test_a_run_follows_and_shows_it(workspace, monkeypatch):
    shown = []
    real = ProgressBoard.steps

    def steps(board, **values):
        real(board, **values)
        shown.append((values["step"], board.progress.alpha, board.progress.temperature, values["losses"]))

    monkeypatch.setattr(ProgressBoard, "steps", steps)
    monkeypatch.setattr("distill_trainer.loop.DRAIN_EVERY", 1)
    ended = workspace.train(curriculum=BOTH)
    records = history(workspace, ended)
    last = shown[-1][0]
    for step, alpha, temperature, losses in shown:
        assert alpha == pytest.approx(0.6 * (step - 1) / (last - 1))
        assert losses.total == pytest.approx(
            alpha * losses.task + (1 - alpha) * losses.distillation, rel=1e-5
        )
        assert temperature >= 1
    assert [record["temperature"] for record in records][1:] == [1.0, 1.0]
    assert records[-1]["alpha"] == 0.6
    page = (workspace.version(ended) / "report.html").read_text()
    assert "<figcaption>Temperature</figcaption>" in page
    assert "α = 0 → 0.6 (Linear), T = 8 → 1 (Cosine, until epoch 2)" in page
    assert "T = 8 → 1 (Cosine, until epoch 2)" in (workspace.version(ended) / "README.md").read_text()


def test_metrics_have_it_only_where_it_is_scheduled():
    from distill_api.status import Losses

    board = ProgressBoard()
    board.begin(step=0, total_steps=10, epochs=2)
    losses = Losses(total=1, task=1, distillation=1)
    board.steps(step=3, epoch=1, samples=96, losses=losses, settings=Settings(alpha=0.25))
    text = exposition(board, "accuracy").decode()
    assert "distill_train_alpha 0.25" in text
    assert "distill_train_temperature" not in text


def test_stopped_and_gone_on_it_ends_the_same(workspace, stop_after):
    whole = workspace.train(curriculum=BOTH, output={"uri": "pvc://models/whole"}).outcome.result
    for looks in (6, 9):
        assert workspace.train(stop_after(looks), curriculum=BOTH).code is ExitCode.DISRUPTED
    assert workspace.train(curriculum=BOTH).outcome.result.artifact.digest == whole.artifact.digest


def test_stored_in_full_it_is_what_it_is_beside_the_teacher(workspace):
    online, cached = (
        [record["loss"] for record in history(workspace, ended)]
        for mode in ("Online", "Cached")
        for ended in [
            workspace.train(curriculum=BOTH, teacherOutputs={"mode": mode}, recipeDigest=f"sha256:{mode}")
        ]
    )
    assert cached == pytest.approx(online, rel=1e-4)


def test_a_part_of_the_distribution_is_refused_by_the_trainer_too(workspace):
    ended = workspace.check(curriculum=BOTH, teacherOutputs={"mode": "Cached", "encoding": "Sampled"})
    assert ended.code is ExitCode.CONFIG_INVALID
    assert "teacherOutputs.encoding must not be TopK or Sampled" in ended.outcome.message


def test_a_language_model_follows_both_in_its_loss(workspace, tmp_path):
    """α and T of a schedule that hardly moves, against the same ones fixed: whatever computes the loss has to ask anew."""
    from language_world import gpt2, write_language_teacher, write_texts

    teacher = write_language_teacher(tmp_path / "teacher", steps=20)
    write_texts(workspace.root / "data")
    gpt2().save_pretrained(workspace.root / "student")
    job = {
        "task": "CausalLM",
        "teacher": {"huggingFace": {"id": f"file://{teacher}"}},
        "student": {"huggingFace": {"id": f"file://{workspace.root / 'student'}"}},
        "dataset": {"files": {"uri": f"file://{workspace.root / 'data'}", "format": "Text"}},
        "training": {"epochs": 1, "batchSize": 8, "learningRate": 0.02},
    }
    still = {"temperature": {"from": 1, "to": 1.0000001}, "alpha": {"from": 0.5, "to": 0.5000001}}
    moving = {"temperature": {"from": 1, "to": 4}, "alpha": {"from": 0.5, "to": 0.1}}
    losses = [
        [
            record[name]
            for record in history(workspace, workspace.train(**job, recipeDigest=f"sha256:{at}", **changes))
            for name in ("loss", "distillation_loss")
        ]
        for at, changes in enumerate(
            (
                {"objective": {"temperature": 1.0, "alpha": 0.5}},
                {"curriculum": {"schedules": still}},
                {"curriculum": {"schedules": moving}},
            )
        )
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert losses[2] != pytest.approx(losses[0], rel=1e-2)
