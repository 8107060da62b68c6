"""timm and torchvision as teacher and student: built for the data, loaded from files, written, reopened, exported."""

import json

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from test_export import onnx_logits
from torchvision import models as torchvision

from distill_api.contract import ExitCode
from distill_api.sources import Student
from distill_api.training import Task
from distill_trainer.models import Signature, open_model, reopen
from distill_trainer.student import load_student

RESNET = {"name": "test_resnet", "args": {}}
"""The smallest of timm's own for tests."""
DIGITS = Signature(Task.IMAGE_CLASSIFICATION, 10, (1, 8, 8))


def timm_weights(folder, classes=10, channels=1, name="test_resnet"):
    torch.manual_seed(0)
    file = folder / f"{name}-{classes}-{channels}.safetensors"
    save_file(timm.create_model(name, num_classes=classes, in_chans=channels).state_dict(), file)
    return {"uri": f"file://{file}"}


def test_a_timm_student_is_trained_exported_and_loaded_by_timm(workspace, tmp_path):
    ended = workspace.train(
        teacher={"timm": RESNET, "weights": timm_weights(tmp_path)},
        student={"timm": {"name": "test_resnet", "args": {"drop_rate": 0.1}}},
        training={"epochs": 1},
        objective={"terms": [{"type": "KLDivergence"}, {"type": "Hint", "pairs": [{"teacher": "layer2", "student": "layer2"}]}]},
        output={"uri": "pvc://models/run", "formats": ["Safetensors", "ONNX", "TorchExport"]},
    )  # fmt: skip
    assert ended.code is ExitCode.SUCCEEDED, ended.outcome.message
    folder, images = workspace.version(ended), torch.rand(3, 1, 8, 8)
    student = load_student(folder)
    with torch.no_grad():
        logits = student.model(images)
        assert torch.allclose(torch.tensor(onnx_logits(folder, {"images": images})), logits, atol=1e-4)
    assert json.loads((folder / "student.json").read_text())["model"] == {
        "timm": {"name": "test_resnet", "args": {"drop_rate": 0.1}}
    }
    plain = timm.create_model("test_resnet", num_classes=10, in_chans=1).eval()
    plain.load_state_dict(load_file(folder / "model.safetensors"))
    mean, std = (sum(plain.pretrained_cfg[key]) / 3 for key in ("mean", "std"))
    torch.testing.assert_close(plain((images - mean) / std), logits)
    result = ended.outcome.result
    assert result.student.flops == result.teacher.flops > 10_000
    assert "load_student" in (folder / "README.md").read_text()


def test_a_torchvision_student_has_three_channels_and_its_normalisation(workspace, tmp_path):
    torch.manual_seed(0)
    file = tmp_path / "squeeze.safetensors"
    save_file(torchvision.squeezenet1_1(num_classes=10).state_dict(), file)
    source = {"torchvision": {"name": "squeezenet1_1"}}
    teacher = {**source, "weights": {"uri": f"file://{file}"}}
    # Its maps are of 17×17 pictures or more: digits of 8×8 do not pass, and it is said before training.
    assert workspace.check(teacher=teacher, student=source).outcome.reason == "InputShapeMismatch"
    network = reopen({"torchvision": {"name": "squeezenet1_1", "args": {}}}, tmp_path).build(
        Signature(Task.IMAGE_CLASSIFICATION, 10, (1, 32, 32))
    )
    network.load_state_dict(load_file(file))
    grey = torch.rand(2, 1, 32, 32)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    colour = (grey.expand(-1, 3, -1, -1) - mean[:, None, None]) / std[:, None, None]
    plain = torchvision.squeezenet1_1(num_classes=10).eval()
    plain.load_state_dict(load_file(file))
    torch.testing.assert_close(network.eval()(grey), plain(colour))


def test_a_torchvision_student_is_trained_and_reopened(workspace):
    ended = workspace.train(student={"torchvision": {"name": "shufflenet_v2_x0_5"}}, training={"epochs": 1})
    assert ended.code is ExitCode.SUCCEEDED, ended.outcome.message
    assert load_student(workspace.version(ended)).predict(torch.rand(2, 1, 8, 8)).shape == (2, 10)


@pytest.mark.parametrize(
    ("config", "size"),
    [
        ({"timm": {"name": "test_vit", "args": {}}}, 160),
        ({"timm": {"name": "test_vit", "args": {"img_size": 32}}}, 32),
        ({"torchvision": {"name": "vit_b_32", "args": {"image_size": 64}}}, 64),
    ],
)
def test_networks_of_one_size_are_shown_pictures_of_it(config, size, tmp_path):
    network, seen = reopen(config, tmp_path).build(DIGITS), []
    first = next(module for module in network.modules() if isinstance(module, torch.nn.Conv2d))
    first.register_forward_pre_hook(lambda _module, given: seen.append(tuple(given[0].shape)))
    assert network(torch.rand(2, 1, 8, 8)).shape == (2, 10)
    assert [shape[2:] for shape in seen] == [(size, size)]


def test_channels_that_a_trained_network_has_can_be_kept(workspace, tmp_path):
    teacher = {"timm": RESNET, "weights": timm_weights(tmp_path, channels=3)}
    refused = workspace.check(teacher=teacher).outcome
    assert refused.reason == "InputShapeMismatch"
    assert "input layer" in refused.message
    teacher["timm"] = {"name": "test_resnet", "args": {"in_chans": 3}}
    kept = workspace.check(teacher=teacher)
    assert kept.code is ExitCode.SUCCEEDED, kept.outcome.message
    assert "does not name its classes" in kept.outcome.message


@pytest.mark.parametrize(
    ("teacher", "student", "reason", "words"),
    [
        ({"timm": {"name": "resnt18"}}, {}, "UnknownModel", ["teacher.timm.name", "'resnt18'", "did you mean"]),
        ({"torchvision": {"name": "resnet19"}}, {}, "UnknownModel", ["teacher.torchvision.name", "did you mean 'resnet1"]),
        ({"torchvision": {"name": "fasterrcnn_resnet50_fpn"}}, {}, "UnknownModel", ["none of the 80 classifiers"]),
        ({}, {"timm": {"name": "test_resnet", "args": {"colour": 3}}}, "ArgumentsInvalid", ["test_resnet", "colour"]),
        ({}, {"timm": {"name": "test_resnet", "args": {"checkpoint_path": "/x.pth"}}}, "ArgumentsInvalid", ["weights.uri"]),
        ({}, {"torchvision": {"name": "resnet18", "args": {"weights": "DEFAULT"}}}, "ArgumentsInvalid", ["weights.uri"]),
        ({}, {"timm": {"name": "resnet18.nothing"}}, "ArgumentsInvalid", ["resnet18.nothing"]),
    ],
)  # fmt: skip
def test_what_no_library_has_is_refused(workspace, teacher_weights, teacher, student, reason, words):
    changes = {}
    if teacher:
        changes["teacher"] = {**teacher, "weights": {"uri": f"file://{teacher_weights}"}}
    if student:
        changes["student"] = student
    ended = workspace.check(**changes)
    assert (ended.code, ended.outcome.reason) == (ExitCode.CONTRACT_BROKEN, reason), ended.outcome.message
    assert [word for word in words if word not in ended.outcome.message] == [], ended.outcome.message


def test_weights_of_other_classes_name_the_head(workspace, tmp_path):
    weights = timm_weights(tmp_path, classes=7)
    ended = workspace.check(teacher={"timm": RESNET, "weights": weights})
    assert ended.outcome.reason == "ClassCountMismatch"
    assert 'predicts 7 classes (head "fc"' in ended.outcome.message


def test_a_student_trained_for_other_classes_gets_a_new_head(workspace, tmp_path):
    weights = timm_weights(tmp_path, classes=1000)
    student = {"timm": RESNET, "weights": weights}
    said = workspace.check(student=student).outcome.message
    assert (
        "fc.weight, fc.bias start fresh, since test_resnet-1000-1.safetensors is for another number of classes"
        in said
    )
    source = open_model(Student.model_validate(student), field="student")
    network = source.build(DIGITS)
    assert source.load(network) == ("fc.weight", "fc.bias")
    trained = load_file(tmp_path / "test_resnet-1000-1.safetensors")
    own = network.state_dict()
    assert own["fc.weight"].shape[0] == 10
    assert all(torch.equal(own[name], trained[name]) for name in own if not name.startswith("fc."))
    ended = workspace.train(student=student, training={"epochs": 1})
    assert ended.code is ExitCode.SUCCEEDED, ended.outcome.message
    other = {"timm": {"name": "test_resnet", "args": {"width": 32}}, "weights": weights}
    assert workspace.check(student=other).code is not ExitCode.SUCCEEDED


def test_layers_have_the_librarys_own_names(workspace):
    pairs = [{"teacher": "features.0", "student": "laier1"}]
    ended = workspace.check(student={"timm": RESNET}, objective={"terms": [{"type": "Hint", "pairs": pairs}]})
    assert ended.outcome.reason == "LayerNotFound"
    assert "did you mean 'layer1" in ended.outcome.message
