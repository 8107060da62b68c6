"""ONNX and torch.export beside the weights: the same logits for every batch size and length, checked by their own runtimes."""

import numpy as np
import onnxruntime
import pytest
import torch
from text_world import sentences, write_sentences, write_student, write_teacher
from torch import nn
from transformers import AutoTokenizer

from distill_api.contract import ExitCode
from distill_api.delivery import Format
from distill_trainer.errors import ContractBroken
from distill_trainer.export import export
from distill_trainer.student import load_student

ALL = ["Safetensors", "ONNX", "TorchExport"]


@pytest.fixture(scope="module")
def text_teacher(tmp_path_factory):
    return write_teacher(tmp_path_factory.mktemp("text") / "teacher", steps=1)


def onnx_logits(folder, inputs):
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    return session.run(["logits"], {name: tensor.numpy() for name, tensor in inputs.items()})[0]


def test_pictures_in_all_formats(workspace):
    output = {"uri": "pvc://models/run", "formats": ALL}
    ended = workspace.train(training={"epochs": 1}, output=output)
    assert ended.code is ExitCode.SUCCEEDED
    folder, student = workspace.version(ended), load_student(workspace.version(ended))
    assert [(each.format.value, each.file) for each in ended.outcome.result.exports] == [
        ("ONNX", "model.onnx"),
        ("TorchExport", "model.pt2"),
    ]
    program = torch.export.load(folder / "model.pt2").module()
    for size in (1, 2, 5, 33):
        images = torch.rand(size, 1, 8, 8, generator=torch.Generator().manual_seed(size))
        with torch.no_grad():
            wanted = student.model(images).numpy()
            exported = program(images).numpy()
        np.testing.assert_allclose(onnx_logits(folder, {"images": images}), wanted, atol=1e-4)
        np.testing.assert_allclose(exported, wanted, atol=1e-4)


def test_exports_do_not_change_the_student_and_are_made_up_for(workspace):
    plain = workspace.train(training={"epochs": 1})
    again = workspace.train(training={"epochs": 1}, output={"uri": "pvc://models/run", "formats": ALL[:2]})
    assert again.outcome.lineage == plain.outcome.lineage
    assert plain.outcome.result.exports is None
    assert (workspace.version(again) / "model.onnx").is_file()


def test_texts_of_any_length_and_number(workspace, text_teacher):
    write_sentences(workspace.root / "data", train=32, test=20)
    write_student(workspace.root / "student")
    ended = workspace.train(
        task="TextClassification",
        teacher={"huggingFace": {"id": f"file://{text_teacher}"}},
        student={"huggingFace": {"id": f"file://{workspace.root / 'student'}"}},
        dataset={"files": {"uri": f"file://{workspace.root / 'data'}", "format": "JsonLines"}},
        training={"epochs": 1},
        output={"uri": "pvc://models/run", "formats": ALL},
    )
    assert ended.code is ExitCode.SUCCEEDED
    folder = workspace.version(ended)
    student, words = load_student(folder), AutoTokenizer.from_pretrained(folder)
    texts = [row["text"] for row in sentences(40, seed=5)]
    for part in (texts[:1], texts[:2], texts[:17], ["cat"], ["the cat " * 31]):
        inputs = dict(words(part, padding=True, truncation=True, max_length=64, return_tensors="pt"))
        with torch.no_grad():
            wanted = student.model(inputs).numpy()
        np.testing.assert_allclose(onnx_logits(folder, inputs), wanted, atol=1e-4)


class DependsOnData(nn.Module):
    """Takes another way for dark pictures, which a graph cannot hold."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 2)

    def forward(self, images):
        return self.head(images) if float(images.mean()) > 0.5 else self.head(-images)


@pytest.mark.parametrize("kind", [Format.ONNX, Format.TORCH_EXPORT])
def test_what_cannot_be_traced_is_said(tmp_path, kind):
    with pytest.raises(ContractBroken) as broken:
        export([kind], DependsOnData(), [torch.rand(2, 4)], None, tmp_path)
    assert broken.value.reason == "ExportFailed"
    assert broken.value.message.startswith("output.formats: the student cannot be traced")
    assert "it is in its last checkpoint" in broken.value.message


def test_a_difference_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("distill_trainer.export.TOLERANCE", -1.0)
    with pytest.raises(ContractBroken, match="leave the format out"):
        export([Format.TORCH_EXPORT], nn.Linear(4, 2), [torch.rand(2, 4)], None, tmp_path)


def test_a_training_student_is_exported_without_its_dropout(tmp_path):
    student = nn.Sequential(nn.Linear(4, 64), nn.Dropout(0.9), nn.Linear(64, 2)).train()
    batch = torch.rand(3, 4)
    export([Format.TORCH_EXPORT], student, [batch], None, tmp_path)
    module = torch.export.load(tmp_path / "model.pt2").module()
    assert torch.equal(module(batch), module(batch))
    assert student.training
