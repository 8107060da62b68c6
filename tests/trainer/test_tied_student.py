"""A student whose head is its table of tokens, out of a teacher whose head is not, with a learned projection, stopped once."""

import numpy as np
import onnxruntime
import pytest
import torch
from language_world import gpt2, write_language_teacher, write_texts
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from distill_api.contract import ExitCode
from distill_trainer import run
from distill_trainer.student import load_student
from distill_trainer.weights import state_digest

HINT = {"teacher": "model.transformer.h.2", "student": "model.transformer.h.1", "projection": "Linear"}


@pytest.fixture(scope="module")
def untied(tmp_path_factory):
    config = gpt2(n_layer=3, tie_word_embeddings=False)
    return write_language_teacher(tmp_path_factory.mktemp("untied") / "teacher", config, steps=20)


@pytest.fixture
def job(workspace, untied):
    write_texts(workspace.root / "data", train=40, test=12)
    gpt2().save_pretrained(workspace.root / "student")
    return {
        "task": "CausalLM",
        "teacher": {"huggingFace": {"id": f"file://{untied}"}},
        "student": {
            "huggingFace": {"id": f"file://{workspace.root / 'student'}"},
            "initFromTeacher": {"layers": [0, 2]},
        },
        "dataset": {"files": {"uri": f"file://{workspace.root / 'data'}", "format": "Text"}},
        "objective": {"temperature": 1.0, "terms": [{"type": "KLDivergence"}, {"type": "Hint", "pairs": [HINT]}]},
        "training": {"epochs": 3, "batchSize": 8, "learningRate": 0.01},
        "output": {"uri": "pvc://models/run", "formats": ["Safetensors", "ONNX"]},
    }  # fmt: skip


@pytest.fixture
def models(monkeypatch):
    seen, load = [], run.load_models
    monkeypatch.setattr(
        run, "load_models", lambda *args, **kwargs: (seen.append(load(*args, **kwargs)), seen[-1])[1]
    )
    return seen


def names_of(folder):
    with safe_open(folder / "model.safetensors", "pt") as file:
        return set(file.keys())


def projections(workspace, name):
    """Those of the checkpoints that are left, oldest first."""
    files = sorted((workspace.output.parent / name / "checkpoints").rglob("state.safetensors"))
    found = [{k: v for k, v in load_file(file).items() if k.startswith("objective")} for file in files]
    assert all(len(each) >= 1 for each in found)
    return [torch.cat([tensor.flatten() for tensor in each.values()]) for each in found]


def test_a_tied_student_comes_out_alone_and_tied(workspace, job, models, tmp_path, stop_after):
    stopped = workspace.train(stop_after(9), **job)
    assert stopped.code is ExitCode.DISRUPTED
    ended = workspace.train(**job)
    assert ended.code is ExitCode.SUCCEEDED, ended.outcome.message
    folder, trained = workspace.version(ended), models[-1]
    AutoModelForCausalLM.from_config(gpt2()).save_pretrained(tmp_path / "plain")
    assert names_of(folder) == names_of(tmp_path / "plain")
    model, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert model.lm_head.weight.data_ptr() == model.transformer.wte.weight.data_ptr()
    assert AutoConfig.from_pretrained(folder).tie_word_embeddings
    inner = trained.student.model
    assert inner.lm_head.weight is inner.transformer.wte.weight
    ids = AutoTokenizer.from_pretrained(folder)("one two three four", return_tensors="pt").input_ids
    with torch.no_grad():
        assert torch.equal(model.eval()(ids).logits, inner.eval()(ids).logits)
    # 64 tokens of width 16 are counted once: 1024 more would be the head again.
    assert ended.outcome.result.student.parameters == sum(each.numel() for each in model.parameters())
    assert ended.outcome.result.teacher.parameters - ended.outcome.result.student.parameters == 1024 + sum(
        each.numel() for each in model.transformer.h[0].parameters()
    )
    shared = {each.data_ptr() for each in trained.teacher.parameters()}
    assert shared.isdisjoint(each.data_ptr() for each in trained.student.parameters())
    assert state_digest(trained.teacher) == trained.teacher_digest
    read = load_student(folder).model.model
    assert read.lm_head.weight is read.transformer.wte.weight


def test_the_projection_learns_and_resumes_bit_for_bit(workspace, job, stop_after):
    job["output"]["formats"] = ["Safetensors"]
    whole = workspace.train(**job | {"output": {"uri": "pvc://models/whole"}})
    assert workspace.train(stop_after(9), **job).code is ExitCode.DISRUPTED
    at_the_stop = projections(workspace, "run")[-1]
    ended = workspace.train(**job)
    assert ended.outcome.lineage.student_digest == whole.outcome.lineage.student_digest
    end = projections(workspace, "run")[-1]
    assert torch.equal(end, projections(workspace, "whole")[-1])
    assert not torch.equal(at_the_stop, end)


def test_onnx_of_a_tied_student(workspace, job):
    ended = workspace.train(**{**job, "training": {**job["training"], "epochs": 1}})
    assert ended.code is ExitCode.SUCCEEDED, ended.outcome.message
    folder = workspace.version(ended)
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    student = load_student(folder)
    inputs = student.text_encoder.encode(["one two three", "four five"]).inputs
    with torch.no_grad():
        wanted = student.model(inputs).numpy()
    given = {each.name: inputs[each.name].numpy() for each in session.get_inputs()}
    np.testing.assert_allclose(session.run(["logits"], given)[0], wanted, atol=1e-4)
