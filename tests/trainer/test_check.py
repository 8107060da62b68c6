"""The contract check: every fault has a reason of its own and a sentence with field, value and remedy."""

import json
import pickle
import struct
import zipfile

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from distill_api.contract import ExitCode
from distill_trainer import weights
from distill_trainer.models import builtin_network


def weights_of(name, shape, classes, path):
    save_file(builtin_network(name, shape=shape, classes=classes).state_dict(), path)
    return path


def teacher(path, name="convnet-small"):
    return {"builtin": {"name": name}, "weights": {"uri": f"file://{path}"}}


def twelve_classes(root):
    folder = root / "digits12"
    folder.mkdir()
    for split in ("train", "test"):
        (folder / split).mkdir()
        for label in range(12):
            place = folder / split / f"class-{label:02d}"
            place.mkdir()
            for number in range(4):
                Image.new("L", (8, 8), 20 * label).save(place / f"{number}.png")
    return {"files": {"uri": f"file://{folder}", "format": "ImageFolder"}}


def refused(ended, reason):
    assert ended.code is ExitCode.CONTRACT_BROKEN, ended.outcome
    assert ended.outcome.reason == reason
    assert "\n" not in ended.outcome.message
    return ended.outcome.message


def test_what_fits_is_said_with_its_sizes(workspace):
    ended = workspace.check()
    assert (ended.code, ended.outcome.reason) == (ExitCode.SUCCEEDED, "ContractValid")
    assert "10 classes" in ended.outcome.message
    assert list(workspace.output.iterdir()) == []


def test_teacher_of_10_classes_for_data_with_12(workspace):
    message = refused(workspace.check(dataset=twelve_classes(workspace.root)), "ClassCountMismatch")
    assert 'teacher predicts 10 classes (head "fc", weights digits-teacher.safetensors)' in message
    assert 'dataset "digits12" has 12 labels' in message
    assert message.endswith("or set dataset.columns.label. No GPU was requested.")


def test_weights_that_are_not_there_name_what_is(workspace, teacher_weights):
    message = refused(
        workspace.check(teacher=teacher(teacher_weights.with_name("digit.safetensors"))), "WeightsNotFound"
    )
    assert "teacher.weights.uri" in message
    assert "digits-teacher.safetensors" in message


def test_torn_weights_name_both_sizes(workspace, teacher_weights, tmp_path):
    whole = teacher_weights.read_bytes()
    (tmp_path / "torn.safetensors").write_bytes(whole[:-1000])
    message = refused(workspace.check(teacher=teacher(tmp_path / "torn.safetensors")), "WeightsTorn")
    assert f"header says {len(whole)} bytes, the file has {len(whole) - 1000}" in message


@pytest.mark.parametrize("keep", [0, 5, 100])
def test_weights_torn_within_the_header(workspace, teacher_weights, tmp_path, keep):
    (tmp_path / "t.safetensors").write_bytes(teacher_weights.read_bytes()[:keep])
    ended = workspace.check(teacher=teacher(tmp_path / "t.safetensors"))
    refused(ended, "WeightsTorn" if keep > 8 else "WeightsNotSafetensors")


@pytest.mark.parametrize(
    "save",
    [
        lambda path: torch.save({"fc.weight": torch.zeros(2)}, path),
        lambda path: path.write_bytes(pickle.dumps({})),
    ],
)
def test_a_pickle_is_refused_with_how_to_convert_it(workspace, tmp_path, save):
    save(tmp_path / "model.safetensors")
    message = refused(workspace.check(teacher=teacher(tmp_path / "model.safetensors")), "WeightsArePickle")
    assert "safetensors.torch as s" in message


@pytest.mark.parametrize("length", [0x80, 0x280, 0x4B50])
def test_a_header_whose_length_begins_like_a_pickle_is_none(tmp_path, length):
    """One in 32 lengths does: they are multiples of 8."""
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    header = json.dumps({"w": entry}).encode().ljust(length)
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", length) + header + bytes(4))
    assert load_file(path)["w"].shape == (1,)
    assert weights.read_header(path, field="teacher.weights.uri") == {"w": (1,)}


def test_the_advice_converts_a_pickle(tmp_path, monkeypatch):
    import subprocess
    import sys

    from distill_trainer.weights import CONVERT

    monkeypatch.chdir(tmp_path)
    torch.save({"a": torch.arange(3.0)}, "IN.pt")
    assert zipfile.is_zipfile("IN.pt")
    subprocess.run([sys.executable, "-c", CONVERT.split('"')[1]], check=True)
    assert torch.equal(load_file("OUT.safetensors")["a"], torch.arange(3.0))


@pytest.mark.parametrize(
    "raw", [b"hello, I am a text file", struct.pack("<Q", 5) + b"[1,2]", struct.pack("<Q", 4) + b"{abc"]
)
def test_what_is_no_safetensors_file(workspace, tmp_path, raw):
    (tmp_path / "x.safetensors").write_bytes(raw)
    refused(workspace.check(teacher=teacher(tmp_path / "x.safetensors")), "WeightsNotSafetensors")


def test_weights_of_another_model_name_the_first_tensors(workspace, teacher_weights):
    message = refused(workspace.check(teacher=teacher(teacher_weights, "convnet-large")), "WeightsMismatch")
    assert "features.3.weight" in message


def test_teacher_trained_on_other_channels(workspace, tmp_path):
    file = weights_of("convnet-small", (3, 8, 8), 10, tmp_path / "rgb.safetensors")
    message = refused(workspace.check(teacher=teacher(file)), "InputShapeMismatch")
    assert "8×8, 1 channel" in message


def test_student_whose_input_does_not_fit(workspace, tmp_path):
    file = weights_of("mlp", (1, 28, 28), 10, tmp_path / "fashion.safetensors")
    message = refused(workspace.check(student=teacher(file, "mlp")), "InputShapeMismatch")
    assert message.startswith('student mlp does not take the samples of dataset "digits"')
    assert "[64, 784] instead of [64, 64]" in message


def test_unknown_network_names_the_nearest(workspace):
    message = refused(workspace.check(student={"builtin": {"name": "convnet-tinny"}}), "UnknownModel")
    assert "did you mean convnet-tiny?" in message


def test_empty_split(workspace):
    data = twelve_classes(workspace.root)
    (workspace.root / "digits12" / "validation").mkdir()
    assert "validation" in refused(workspace.check(dataset=data), "EmptySplit")


def test_output_that_is_a_file(workspace):
    workspace.output.parent.mkdir(parents=True)
    workspace.output.write_text("in the way")
    assert "output.uri pvc://models/run" in refused(workspace.check(), "OutputNotWritable")


def test_oddities_are_warned_about(workspace, teacher_weights):
    message = workspace.check(
        student={"builtin": {"name": "convnet-large"}}, objective={"alpha": 1}, training={"batchSize": 4096}
    ).outcome.message
    for part in (
        "student is larger than teacher",
        "objective.alpha is 1",
        "training.batchSize 4096 is more than the 200",
    ):
        assert part in message


def test_header_with_hostile_offsets(workspace, tmp_path):
    header = json.dumps({"fc.weight": {"dtype": "F32", "shape": [10, 2], "data_offsets": [0, "x"]}}).encode()
    (tmp_path / "odd.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    refused(workspace.check(teacher=teacher(tmp_path / "odd.safetensors")), "WeightsNotSafetensors")


def test_one_class_alone_is_nothing_to_learn(workspace, tmp_path):
    (tmp_path / "pictures/cat").mkdir(parents=True)
    for number in range(30):
        Image.new("L", (8, 8), number).save(tmp_path / f"pictures/cat/{number}.png")
    dataset = {"files": {"uri": f"file://{tmp_path / 'pictures'}", "format": "ImageFolder"}}
    message = refused(workspace.check(dataset=dataset), "TooFewClasses")
    assert "one class alone ('cat')" in message
