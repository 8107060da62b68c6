"""Activations that are computed twice: the same student, and less is kept in between."""

import json

import pytest
import torch
from language_world import gpt2, llama, write_language_teacher, write_texts
from torch.autograd.graph import saved_tensors_hooks
from transformers import AutoModelForCausalLM

from distill_api.contract import ExitCode
from distill_api.training import Task
from distill_trainer.checkpointing import enable_checkpointing
from distill_trainer.estimate.count import count_network
from distill_trainer.layers import watch
from distill_trainer.models import Signature
from distill_trainer.models.text_network import TextNetwork
from distill_trainer.tasks.causal_lm import CausalLM

DROPPED = {"resid_pdrop": 0.1, "embd_pdrop": 0.1, "attn_pdrop": 0.1}


def network(config, *, checkpointing):
    torch.manual_seed(0)
    made = TextNetwork(AutoModelForCausalLM.from_config(config), use_cache=False).train()
    if checkpointing:
        enable_checkpointing(made)
    return made


def batch(length=12):
    tokens = torch.randint(64, (2, length), generator=torch.Generator().manual_seed(1))
    return {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}


def passed(config, *, checkpointing, low=False):
    """Loss, gradients, and elements that were kept for the backward pass; a layer inside is looked at, too."""
    student, kept = network(config, checkpointing=checkpointing), []
    inside = "model.transformer.h.0.mlp" if config.model_type == "gpt2" else "model.model.layers.0.mlp"
    torch.manual_seed(7)
    with (
        saved_tensors_hooks(lambda tensor: (kept.append(tensor.numel()), tensor)[1], lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=low),
        watch(student, [inside]) as layers,
    ):
        loss = student(batch()).float().square().mean() + layers[inside].float().square().sum()
    loss.backward()
    return loss.detach(), [weight.grad for weight in student.parameters()], sum(kept)


@pytest.mark.parametrize("low", [False, True], ids=["FP32", "BF16"])
@pytest.mark.parametrize("config", [gpt2(**DROPPED, n_layer=4), llama()], ids=["dropout", "llama"])
def test_loss_and_gradients_are_the_same_and_less_is_kept(config, low):
    loss, gradients, kept = passed(config, checkpointing=False, low=low)
    again, same, fewer = passed(config, checkpointing=True, low=low)
    torch.testing.assert_close((again, same), (loss, gradients), atol=0, rtol=0)
    assert fewer < 0.7 * kept


def test_an_estimate_counts_what_is_kept():
    config, meta = llama(num_hidden_layers=8), torch.device("meta")
    example = CausalLM().example(Signature(Task.CAUSAL_LM, 64), 2, meta)
    with meta:
        networks = [network(config, checkpointing=twice) for twice in (False, True)]
    counted = [count_network(each, example, 2, 4).saved for each in networks]
    assert counted[1] < 0.4 * counted[0]


@pytest.fixture
def job(workspace, tmp_path_factory):
    teacher = write_language_teacher(tmp_path_factory.mktemp("language") / "teacher", steps=5)
    write_texts(workspace.root / "data", train=40, test=8)
    gpt2(**DROPPED).save_pretrained(workspace.root / "student")
    return {
        "task": "CausalLM",
        "teacher": {"huggingFace": {"id": f"file://{teacher}"}},
        "student": {"huggingFace": {"id": f"file://{workspace.root / 'student'}"}},
        "dataset": {"files": {"uri": f"file://{workspace.root / 'data'}", "format": "Text"}},
    }


def test_whole_runs_give_the_same_student_stopped_or_not(workspace, job, stop_after):
    digests = []
    for twice in (False, True):
        training = {"epochs": 2, "batchSize": 8, "activationCheckpointing": twice}
        settings = {**job, "training": training, "output": {"uri": f"pvc://models/{twice}"}}
        if twice:
            assert workspace.train(stop=stop_after(6), **settings).code is ExitCode.DISRUPTED
        ended = workspace.train(**settings)
        assert ended.code is ExitCode.SUCCEEDED
        digests.append(ended.outcome.lineage.student_digest)
    assert digests[0] == digests[1]
    [folder] = (workspace.output.parent / "True" / "versions").iterdir()
    assert "gradient_checkpointing" not in json.loads((folder / "config.json").read_text())


def test_students_that_cannot_are_refused_before_anything_runs(workspace):
    ended = workspace.check(training={"activationCheckpointing": True})
    assert (ended.code, ended.outcome.reason) == (ExitCode.CONTRACT_BROKEN, "CheckpointingRefused")
    assert "student convnet-tiny is no Transformers model" in ended.outcome.message
