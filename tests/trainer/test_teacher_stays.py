"""The teacher must not move: a network with batch norm and dropout that its factory hands out in training mode."""

import json

import pytest
import torch
from safetensors.torch import load_file

from distill_api.contract import ExitCode
from distill_trainer import loop, run
from distill_trainer.weights import state_digest

TEACHER = {"python": {"factory": "own_models:tiny_conv", "args": {"width": 8}}}
STUDENT = {"python": {"factory": "own_models:tiny_conv", "args": {"width": 4}}}


class Seen:
    """What a run had in its hands: both models, and the student at each step."""

    def __init__(self) -> None:
        self.models = None
        self.losses = []
        self.modes = []
        self.running_means = []
        self.trained = []


@pytest.fixture
def seen(monkeypatch):
    seen, load, step, optimizer = Seen(), run.load_models, loop.train_step, loop.make_optimizer

    def load_models(*args, **kwargs):
        seen.models = load(*args, **kwargs)
        return seen.models

    def train_step(student, *args, **kwargs):
        seen.modes.append(all(module.training for module in student.modules()))
        losses = step(student, *args, **kwargs)
        seen.losses.append(losses.stacked())
        seen.running_means.append(student.features[1].running_mean.clone())
        return losses

    def make_optimizer(*args, **kwargs):
        made = optimizer(*args, **kwargs)
        seen.trained += [parameter for group in made.param_groups for parameter in group["params"]]
        return made

    monkeypatch.setattr(run, "load_models", load_models)
    monkeypatch.setattr(loop, "train_step", train_step)
    monkeypatch.setattr(loop, "make_optimizer", make_optimizer)
    return seen


def train(workspace, mode):
    return workspace.train(
        teacher=TEACHER,
        student=STUDENT,
        training={"epochs": 2},
        teacherOutputs={"mode": mode},
        output={"uri": f"pvc://models/{mode}"},
    )


def checkpoint(workspace, mode):
    """Shapes of all that the newest one holds."""
    newest = max((workspace.output.parent / mode / "checkpoints").rglob("state.safetensors"))
    return {name: tuple(tensor.shape) for name, tensor in load_file(newest).items()}


def test_no_part_of_the_teacher_moves_and_its_outputs_do_not_depend_on_the_batch(workspace, seen):
    assert train(workspace, "Online").code is ExitCode.SUCCEEDED
    teacher = seen.models.teacher
    assert state_digest(teacher) == seen.models.teacher_digest
    assert teacher.features[1].num_batches_tracked == 0
    assert not any(module.training for module in teacher.modules())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    images = torch.rand(7, 1, 8, 8)
    torch.testing.assert_close(teacher(images)[:1], teacher(images[:1]), atol=1e-6, rtol=0)
    torch.testing.assert_close(teacher(images), teacher(images), atol=0, rtol=0)
    theirs = set(map(id, teacher.parameters()))
    assert theirs.isdisjoint(map(id, seen.trained))
    assert {id(parameter) for parameter in seen.models.student.parameters()} == set(map(id, seen.trained))
    assert tuple(teacher.features[0].weight.shape) == (8, 1, 3, 3)
    assert (8, 1, 3, 3) not in checkpoint(workspace, "Online").values()
    assert (4, 1, 3, 3) in checkpoint(workspace, "Online").values()


def test_the_student_is_in_training_mode_at_every_step_also_after_an_evaluation(workspace, seen):
    assert train(workspace, "Online").code is ExitCode.SUCCEEDED
    assert len(seen.modes) > 10
    assert all(seen.modes)
    before = [torch.zeros(4), *seen.running_means[:-1]]
    assert not any(torch.equal(*pair) for pair in zip(before, seen.running_means, strict=True))


def test_online_and_cached_give_the_same_loss_at_each_step(workspace, seen):
    assert train(workspace, "Online").code is ExitCode.SUCCEEDED
    online = torch.stack(seen.losses)
    seen.losses.clear()
    assert train(workspace, "Cached").code is ExitCode.SUCCEEDED
    torch.testing.assert_close(torch.stack(seen.losses), online, atol=1e-5, rtol=0)
    assert state_digest(seen.models.teacher) == seen.models.teacher_digest
    digests = [
        json.loads(next((workspace.output.parent / mode / "versions").glob("*/student.json")).read_text())["lineage"]
        for mode in ("Online", "Cached")
    ]  # fmt: skip
    assert digests[0]["teacherDigest"] == digests[1]["teacherDigest"]
