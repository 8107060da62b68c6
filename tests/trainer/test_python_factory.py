"""Networks that a function of the image makes: trained, resumed, written, reopened; every fault of such code in a sentence."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from own_models import tiny_conv
from safetensors.torch import load_file, save_file

from distill_api.contract import ExitCode
from distill_trainer.errors import ContractBroken
from distill_trainer.student import load_student


def made_by(function, **args):
    return {"python": {"factory": f"own_models:{function}", "args": args}}


def test_a_student_of_ones_own_is_trained_and_reopened(workspace):
    pairs = [{"teacher": "features.*", "student": "features.2"}]
    terms = [
        {"type": "KLDivergence"},
        {"type": "AttentionTransfer", "pairs": [{**pairs[0], "teacher": "features.2"}]},
    ]
    ended = workspace.train(
        student=made_by("tiny_conv", width=6),
        training={"epochs": 2},
        objective={"terms": terms},
        output={"uri": "pvc://models/run", "formats": ["Safetensors", "ONNX"]},
    )  # fmt: skip
    assert ended.code is ExitCode.SUCCEEDED, ended.outcome.message
    folder = workspace.version(ended)
    written = json.loads((folder / "student.json").read_text())["model"]["python"]
    assert (written["factory"], written["args"]) == ("own_models:tiny_conv", {"width": 6})
    assert written["code"].startswith("sha256:")
    plain = tiny_conv(width=6).eval()
    plain.load_state_dict(load_file(folder / "model.safetensors"))
    images = torch.rand(3, 1, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(load_student(folder).predict(images), plain(images).softmax(1))
    assert "The function `own_models:tiny_conv`" in (folder / "README.md").read_text()


def test_it_resumes_bit_for_bit(workspace, stop_after):
    settings = {"student": made_by("tiny_conv"), "training": {"epochs": 2}}
    whole = workspace.train(**settings)
    stopped = workspace.train(stop_after(9), output={"uri": "pvc://models/other"}, **settings)
    assert stopped.code is ExitCode.DISRUPTED
    resumed = workspace.train(output={"uri": "pvc://models/other"}, **settings)
    assert resumed.outcome.lineage.student_digest == whole.outcome.lineage.student_digest


def test_numbers_and_shared_tensors_pass_the_check(workspace):
    assert workspace.check(student=made_by("with_numbers")).code is ExitCode.SUCCEEDED
    ended = workspace.train(student=made_by("tied"), training={"epochs": 1})
    assert ended.code is ExitCode.SUCCEEDED, ended.outcome.message
    assert ended.outcome.result.student.parameters == 64 * 10 + 10 + 10
    model = load_student(workspace.version(ended)).model
    assert model.first.weight is model.second.weight


def test_a_teacher_with_weights_from_a_file(workspace, tmp_path):
    network = tiny_conv()
    save_file(network.state_dict(), tmp_path / "own.safetensors")
    teacher = {**made_by("tiny_conv"), "weights": {"uri": f"file://{tmp_path / 'own.safetensors'}"}}
    assert workspace.check(teacher=teacher).code is ExitCode.SUCCEEDED
    other = {**made_by("tiny_conv", width=5), "weights": teacher["weights"]}
    assert workspace.check(teacher=other).outcome.reason == "InputShapeMismatch"


@pytest.mark.parametrize(
    ("source", "reason", "words"),
    [
        ({"factory": "no_such.nets:small"}, "FactoryNotFound", ["student.python.factory", "'no_such'", "an image that holds"]),
        ({"factory": "own_models:tiny_con"}, "FactoryNotFound", ["has no function 'tiny_con'", "did you mean 'tiny_conv'?", "it has BigramTable"]),
        ({"factory": "own_models:tiny_conv", "args": {"depth": 3}}, "ArgumentsInvalid", ["student.python.args", "'depth'"]),
        ({"factory": "own_models:no_module"}, "FactoryFailed", ["returned a dict", "torch.nn.Module"]),
        ({"factory": "own_models:failing"}, "FactoryFailed", ["RuntimeError: no checkpoint in the image)"]),
        ({"factory": "own_models:a_dictionary"}, "InputShapeMismatch", ["returns a dict instead of a tensor"]),
        ({"factory": "own_models:tiny_conv", "args": {"classes": 7}}, "ClassCountMismatch", ["gives 7 logits", "10 classes"]),
    ],
)  # fmt: skip
def test_faults_of_the_code_are_sentences(workspace, source, reason, words):
    ended = workspace.check(student={"python": source})
    assert (ended.code, ended.outcome.reason) == (ExitCode.CONTRACT_BROKEN, reason), ended.outcome.message
    assert [word for word in words if word not in ended.outcome.message] == [], ended.outcome.message
    assert "second line" not in ended.outcome.message


def test_code_that_cannot_be_imported(workspace, tmp_path, monkeypatch):
    (tmp_path / "broken_nets.py").write_text("import nothing_of_this_name\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    ended = workspace.check(student={"python": {"factory": "broken_nets:small"}})
    assert ended.outcome.reason == "FactoryFailed"
    assert "nothing_of_this_name" in ended.outcome.message


def test_one_object_for_teacher_and_student_is_refused(workspace):
    ended = workspace.train(teacher=made_by("the_same"), student=made_by("the_same"))
    assert ended.outcome.reason == "SharedParameters"


def test_a_server_without_the_code_says_so_in_one_sentence(workspace, tmp_path):
    folder = workspace.version(workspace.train(student=made_by("tiny_conv"), training={"epochs": 1}))
    code = (
        "import sys, pathlib\nfrom distill_trainer.errors import UserError\n"
        "from distill_trainer.student import load_student\n"
        f"try: load_student(pathlib.Path({str(folder)!r}))\nexcept UserError as error: print(error.message)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    ).stdout
    assert (
        "model.python.factory is 'own_models:tiny_conv', and this image has no Python module 'own_models'"
        in said
    )
    assert said.count("\n") == 1


def test_changed_code_is_said(workspace, monkeypatch, caplog, tmp_path):
    name = "changing_nets"
    source = Path(__file__).with_name("own_models.py").read_text()
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    student = {"python": {"factory": f"{name}:tiny_conv"}}
    folder = workspace.version(workspace.train(student=student, training={"epochs": 1}))
    load_student(folder)
    assert "has changed" not in caplog.text
    (tmp_path / f"{name}.py").write_text(source + "# changed\n")
    load_student(folder)
    assert (
        "the file of factory changing_nets:tiny_conv has changed since the student was written" in caplog.text
    )


def test_weights_that_are_missing_in_the_version(workspace):
    folder = workspace.version(workspace.train(student=made_by("tiny_conv"), training={"epochs": 1}))
    (folder / "model.safetensors").unlink()
    with pytest.raises(ContractBroken, match="there is no file"):
        load_student(folder)
