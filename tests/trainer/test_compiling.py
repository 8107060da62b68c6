"""Compiled layers: the student that plain ones make, to float tolerance, and to the bit wherever it was stopped.

Whole runs but for the first take a graph as it was captured: kernels of C++ take half a minute each time.
"""

import shutil

import pytest
import torch
from language_world import gpt2, write_language_teacher, write_texts
from safetensors.torch import load_file
from test_parallel import assert_same
from torch import nn
from torch._dynamo.utils import counters
from torch._inductor import config as inductor

from distill_api.contract import ExitCode
from distill_trainer import compiling
from distill_trainer.compiling import CompilePlan, compiled
from distill_trainer.layers import watch

pytestmark = pytest.mark.skipif(
    shutil.which("g++") is None, reason="PyTorch's compiler needs g++, which is not on this machine"
)
KL = {"type": "KLDivergence"}
HINT = {"type": "Hint", "weight": 0.1}
STORED = {"objective": {"temperature": 2.0}, "teacherOutputs": {"mode": "Cached", "encoding": "HiddenState"}}


def pair(teacher, student):
    return {"teacher": teacher, "student": student, "projection": "Linear"}


@pytest.fixture
def captured(monkeypatch):
    monkeypatch.setattr(compiling, "BACKEND", "eager")
    counters.clear()


@pytest.fixture(scope="module")
def language_teacher(tmp_path_factory):
    return write_language_teacher(tmp_path_factory.mktemp("language") / "teacher", steps=5)


@pytest.fixture
def job(workspace, language_teacher):
    """Texts of unequal length, the last batch of 5, dropout, and a term that looks at what one of the layers gives."""
    write_texts(workspace.root / "data", train=37, test=8)
    gpt2().save_pretrained(workspace.root / "student")
    pairs = [pair("model.model.layers.1", "model.transformer.h.0")]
    return {
        "task": "CausalLM",
        "teacher": {"huggingFace": {"id": f"file://{language_teacher}"}},
        "student": {"huggingFace": {"id": f"file://{workspace.root / 'student'}"}},
        "dataset": {"files": {"uri": f"file://{workspace.root / 'data'}", "format": "Text"}},
        "objective": {"temperature": 2.0, "terms": [KL, {**HINT, "pairs": pairs}]},
        "training": {"epochs": 1, "batchSize": 8, "compile": True, "optimizer": "SGD", "learningRate": 0.05},
    }


def trained(workspace, name, job, stop=None, **training):
    training = {**job.get("training", {}), **training}
    ended = workspace.train(stop, **{**job, "training": training}, output={"uri": f"pvc://models/{name}"})
    if ended.code is ExitCode.DISRUPTED:
        return None
    assert ended.code is ExitCode.SUCCEEDED, ended.outcome.message
    [folder] = (workspace.output.parent / name / "versions").iterdir()
    return load_file(folder / "model.safetensors")


def test_kernels_train_the_same_student_stopped_or_not(workspace, tmp_path, stop_after, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "kernels"))
    job = {
        "student": {"python": {"factory": "own_models:dropped"}},
        "training": {"compile": True, "epochs": 2},
    }
    whole = trained(workspace, "whole", job)
    assert list((tmp_path / "kernels").rglob("*.cpp"))
    assert trained(workspace, "stopped", job, stop_after(4)) is None
    # Read the second time, or made again from nothing.
    shutil.rmtree(tmp_path / "kernels")
    torch.testing.assert_close(trained(workspace, "stopped", job), whole, atol=0, rtol=0)
    plain = trained(workspace, "plain", job, compile=False)
    assert plain.keys() == whole.keys()


def test_a_language_model_with_fused_losses_and_a_layer_that_is_looked_at(
    workspace, job, captured, stop_after
):
    whole = trained(workspace, "compiled", job)
    assert counters["stats"]["unique_graphs"] == 2, "layers of one kind share one graph"
    assert not counters["graph_break"]
    torch.testing.assert_close(whole, trained(workspace, "plain", job, compile=False), atol=1e-5, rtol=1e-4)
    assert trained(workspace, "stopped", job, stop_after(3)) is None
    torch.testing.assert_close(trained(workspace, "stopped", job), whole, atol=0, rtol=0)


def test_with_activations_computed_twice_and_stored_outputs_in_16_bits(workspace, job, captured, monkeypatch):
    monkeypatch.setattr(compiling, "BACKEND", "aot_eager")
    gpt2(resid_pdrop=0.1).save_pretrained(workspace.root / "student")
    job = {
        **job,
        "objective": {"temperature": 2.0},
        "teacherOutputs": {"mode": "Cached", "encoding": "TopK", "topK": 4},
    }
    job["training"] = {**job["training"], "activationCheckpointing": True, "precision": "BF16"}
    whole = trained(workspace, "compiled", job)
    assert counters["stats"]["unique_graphs"] == 1
    torch.testing.assert_close(whole, trained(workspace, "plain", job, compile=False), atol=2e-3, rtol=0)


def test_with_adapters(workspace, job, captured):
    job = {**job, **STORED, "student": {**job["teacher"], "lora": {"rank": 2}}}
    made = trained(workspace, "compiled", job)
    assert counters["stats"]["unique_graphs"] > 0
    torch.testing.assert_close(made, trained(workspace, "plain", job, compile=False), atol=1e-5, rtol=1e-4)


def test_processes_that_share_layers_make_the_student_that_one_makes(workspace, job, captured):
    assert_same(workspace, 2, **{**job, **STORED, "training": {**job["training"], "strategy": "FSDP"}})


def test_layers_that_terms_look_into_are_left_as_they_are(workspace, job):
    inside = pair("model.model.layers.0.mlp", "model.transformer.h.0.mlp")
    said = workspace.check(**{**job, "objective": {"terms": [{**HINT, "pairs": [inside]}]}}).outcome.message
    assert "training.compile: 1 of the student's 2 layers and 1 of the teacher's 2 layers" in said
    each = [pair(f"model.model.layers.{at}.mlp", f"model.transformer.h.{at}.mlp") for at in (0, 1)]
    ended = workspace.check(**{**job, "objective": {"terms": [{**HINT, "pairs": each}]}})
    assert (ended.code, ended.outcome.reason) == (ExitCode.CONTRACT_BROKEN, "CompileRefused")
    assert "objective.terms look into each of them; remove it" in ended.outcome.message


def test_networks_without_lists_of_layers_are_taken_as_one_and_not_looked_into(workspace):
    cached = {"training": {"compile": True}, "teacherOutputs": {"mode": "Cached"}}
    assert "training.compile: the whole student; the first" in workspace.check(**cached).outcome.message
    terms = [
        KL,
        {"type": "AttentionTransfer", "pairs": [{"teacher": "features.2", "student": "features.2"}]},
    ]
    assert workspace.check(training={"compile": True}, objective={"terms": terms}).outcome.reason == (
        "CompileRefused"
    )


def test_without_a_compiler_it_is_refused_before_anything_runs(workspace):
    with inductor.patch({"cpp.cxx": (None, "no-such-compiler")}):
        ended = workspace.check(training={"compile": True})
    assert (ended.code, ended.outcome.reason) == (ExitCode.CONTRACT_BROKEN, "CompilerMissing")
    assert "no C++ compiler here (no-such-compiler, or what CXX names)" in ended.outcome.message


def test_a_compiler_may_be_a_command_with_arguments(workspace):
    with inductor.patch({"cpp.cxx": (None, "env g++")}):
        assert workspace.check(training={"compile": True}).code is ExitCode.SUCCEEDED


def test_a_compiler_that_fails_is_told_in_a_sentence(workspace, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "kernels"))
    with inductor.patch({"cpp.cxx": (None, "false")}):
        ended = workspace.train(student={"builtin": {"name": "mlp"}}, training={"compile": True})
    assert (ended.code, ended.outcome.reason) == (ExitCode.FAILED, "CompileFailed")
    assert "training.compile is true, and PyTorch's compiler cannot take the networks" in (
        ended.outcome.message
    )


class Listed(nn.Module):
    """Three layers of a list, of which two run."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(6, 6) for _ in range(3))

    def forward(self, rows):
        return self.layers[1](self.layers[0](rows).relu())


def test_sizes_that_are_equal_by_chance_make_no_graph_of_their_own(captured):
    student = Listed()
    with compiled(student, Listed(), CompilePlan(("layers.0",), (), "")):
        for rows, columns in ((8, 8), (8, 9), (5, 5), (3, 8)):
            student(torch.rand(rows, columns, 6)).sum().backward()
    assert counters["stats"]["unique_graphs"] == 1


def test_passes_that_do_not_learn_are_plain_and_nothing_is_left_behind(captured):
    student, rows = Listed(), torch.rand(2, 6)
    with compiled(student, Listed(), CompilePlan(("layers.0",), (), "")):
        with torch.inference_mode():
            student(rows)
        assert not counters["stats"]
        with watch(student, ["layers.0"]) as seen:
            student(rows)
        assert counters["stats"]["unique_graphs"] == 1
        torch.testing.assert_close(
            seen["layers.0"], nn.functional.linear(rows, *student.layers[0].parameters())
        )
    assert "forward" not in vars(student.layers[0])


def test_a_layer_that_does_not_run_is_not_counted_as_compiled(workspace):
    networks = compiling.Networks(Listed(), Listed(), torch.rand(2, 6))
    plan = compiling.plan_compiling(networks, [], beside=True, whole=False)
    assert plan.student == plan.teacher == ("layers.0", "layers.1")
    assert plan.says.startswith(
        "training.compile: 2 of the student's 3 layers and 2 of the teacher's 3 layers"
    )
