"""Processes that share a student's tensors train what one process would; a checkpoint fits any number of them."""

import copy

import pytest
import torch
from language_world import gpt2, write_language_teacher, write_texts
from safetensors import safe_open
from safetensors.torch import load_file
from test_parallel import assert_same, together, trained
from torch import nn

from distill_api.contract import ExitCode
from distill_trainer import loop
from distill_trainer.sharding import clip_gradients, units

FSDP = {"strategy": "FSDP", "epochs": 2, "optimizer": "SGD", "learningRate": 0.05, "batchSize": 24}
MLP = {"builtin": {"name": "mlp"}}


@pytest.mark.parametrize("world", [2, 4])
def test_processes_make_the_student_that_one_makes(workspace, world):
    assert_same(workspace, world, student=MLP, training={**FSDP, "gradientClip": 0.5})


def test_short_steps_leave_no_process_behind(workspace):
    # 140 samples in steps of 23 leave 2 for the last step, which two of four processes have to sit through.
    dataset = {"builtin": {"name": "digits"}, "limit": 200}
    training = {
        **FSDP,
        "batchSize": 23,
        "gradientAccumulation": 2,
        "optimizer": "AdamW",
        "learningRate": 0.002,
    }
    assert_same(workspace, 4, student=MLP, dataset=dataset, training=training)


@pytest.fixture(scope="module")
def language_teacher(tmp_path_factory):
    return write_language_teacher(tmp_path_factory.mktemp("language") / "teacher")


@pytest.fixture
def job(workspace, language_teacher):
    """A language model whose head is its table of tokens, of a vocabulary that two cannot split evenly."""
    write_texts(workspace.root / "data", train=40, test=8)
    gpt2(vocab_size=63).save_pretrained(workspace.root / "student")
    return {
        "task": "CausalLM",
        "teacher": {"huggingFace": {"id": f"file://{language_teacher}"}},
        "student": {"huggingFace": {"id": f"file://{workspace.root / 'student'}"}},
        "dataset": {"files": {"uri": f"file://{workspace.root / 'data'}", "format": "Text"}},
        "objective": {"temperature": 2.0},
        "training": {**FSDP, "batchSize": 8},
    }


@pytest.mark.parametrize(
    "outputs",
    [
        {"mode": "Online"},
        {"mode": "Cached", "encoding": "HiddenState"},
        {"mode": "Cached", "encoding": "Dense"},
    ],
    ids=lambda outputs: outputs.get("encoding", "Online"),
)
def test_language_models_with_fused_and_plain_losses(workspace, job, outputs):
    assert_same(workspace, 2, **job, teacherOutputs=outputs)


def test_layers_that_terms_look_at_and_activations_computed_twice(workspace, job):
    pair = {
        "teacher": "model.model.layers.1.mlp",
        "student": "model.transformer.h.1.mlp",
        "projection": "Linear",
    }
    terms = [{"type": "KLDivergence"}, {"type": "Hint", "weight": 0.1, "pairs": [pair]}]
    training = {**job["training"], "activationCheckpointing": True, "gradientClip": 0.5, "learningRate": 0.01}
    changes = {"objective": {"temperature": 2.0, "terms": terms}, "training": training}
    assert_same(workspace, 2, **{**job, **changes})


def test_in_16_bits_steps_are_those_of_one_process_to_16_bits(workspace, job):
    pair = {"teacher": "model.model.layers.1", "student": "model.transformer.h.1", "projection": "Linear"}
    terms = [{"type": "KLDivergence"}, {"type": "Hint", "weight": 0.1, "pairs": [pair]}]
    changes = {"objective": {"temperature": 2.0, "terms": terms}}
    training = {**job["training"], "precision": "BF16", "learningRate": 0.01, "epochs": 1}
    job = {**job, **changes, "training": training}
    workspace.train(**job, output={"uri": "pvc://models/one"})
    before = load_file(workspace.root / "claims/models/one" / "versions" / trained_name(workspace, "one"))
    assert together(workspace, 2, **job, output={"uri": "pvc://models/two"})[0] == [0, 0]
    after = load_file(workspace.root / "claims/models/two" / "versions" / trained_name(workspace, "two"))
    assert after["transformer.wte.weight"].dtype is torch.float32
    # What a weight moved by differs as sums of numbers of 8 bits do.
    torch.testing.assert_close(after, before, atol=2e-3, rtol=0)


def trained_name(workspace, name):
    [folder] = (workspace.output.parent / name / "versions").iterdir()
    return f"{folder.name}/model.safetensors"


def test_what_is_written_is_a_whole_student(workspace, job):
    assert together(workspace, 2, **job)[0] == [0, 0]
    [folder] = (workspace.output / "versions").iterdir()
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.lm_head.weight.shape == (63, 16)
    [newest, *_] = sorted(workspace.output.glob("checkpoints/*/*/step-*"), reverse=True)
    with safe_open(newest / "state.safetensors", "pt") as file:
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 - no mapping
    assert shapes["model/model.transformer.wte.weight"] == [63, 16]


def stop_after_three(rank, stop):
    if rank == 1:
        real, steps = loop.train_step, []

        def step(*args, **kwargs):
            steps.append(1)
            if len(steps) == 3:
                stop.request()
            return real(*args, **kwargs)

        loop.train_step = step


ADAM = {"optimizer": "AdamW", "learningRate": 0.002}


@pytest.mark.parametrize(("then", "atol"), [(2, 0), (4, 1e-5), (1, 1e-5)])
def test_a_checkpoint_goes_on_with_any_number_of_processes(workspace, job, then, atol):
    job = {**job, "training": {**job["training"], **ADAM}}
    together(workspace, 2, **job, output={"uri": "pvc://models/whole"})
    codes, said = together(workspace, 2, stop_after_three, **job)
    assert codes == [ExitCode.DISRUPTED] * 2
    assert "stopped by a signal at step 3 of" in said.message
    if then == 1:
        assert workspace.train(**job).code is ExitCode.SUCCEEDED
    else:
        assert together(workspace, then, **job)[0] == [0] * then
    torch.testing.assert_close(
        trained(workspace, "run")[0], trained(workspace, "whole")[0], atol=atol, rtol=10 * atol
    )


def stop_in_validation(rank, stop):
    if rank == 1:
        real = loop.Trainer._validate

        def validate(self):
            stop.request()
            return real(self)

        loop.Trainer._validate = validate


def test_a_signal_in_the_middle_of_a_validation_stops_all(workspace, job):
    codes, said = together(workspace, 2, stop_in_validation, **job)
    assert codes == [ExitCode.DISRUPTED] * 2, said
    assert together(workspace, 2, **job)[0] == [0, 0]


def test_one_process_has_nobody_to_share_with(workspace, caplog):
    training = {**FSDP, "epochs": 1}
    assert workspace.train(student=MLP, training=training).code is ExitCode.SUCCEEDED
    assert "training.strategy FSDP has no effect with one process" in caplog.text


def test_units_are_the_layers_of_lists():
    network = nn.ModuleDict(
        {
            "embed": nn.Embedding(4, 2),
            "body": nn.ModuleDict({"layers": nn.ModuleList([nn.Sequential(nn.Linear(2, 2)), nn.ReLU()])}),
        }
    )
    assert list(units(network)) == [network["body"]["layers"][0]]


def test_whole_weights_are_clipped_as_ever():
    weights = [nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2))]
    for weight in weights:
        weight.grad = torch.full_like(weight, 2.0)
    expected = copy.deepcopy(weights)
    for weight, same in zip(weights, expected, strict=True):
        same.grad = weight.grad.clone()
    clip_gradients(weights, 1.0)
    nn.utils.clip_grad_norm_(expected, 1.0)
    for weight, same in zip(weights, expected, strict=True):
        assert torch.equal(weight.grad, same.grad)
