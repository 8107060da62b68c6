"""Losses that compare samples do so over all of a step, whichever process holds them: real processes that talk over gloo."""

import pytest
import torch
from embedding_world import write_encoder, write_texts
from test_parallel import assert_same

from distill_api.terms import Term, TermType
from distill_trainer.losses import Outputs, Targets, TermPlan, embedding_objective
from distill_trainer.order import part_sizes

TERMS = [{"type": "KLDivergence", "temperature": 0.5}, {"type": "Relational", "weight": 5}]
SGD = {"epochs": 2, "optimizer": "SGD", "learningRate": 0.5, "batchSize": 24}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return write_encoder(tmp_path_factory.mktemp("embedding") / "encoder", length=64, **still)


@pytest.fixture
def job(workspace, encoder):
    """Steps of 24, and a last one of 2, which are fewer than four processes."""
    write_texts(workspace.root / "data", train=82, test=20)
    return {
        "task": "Embedding",
        "teacher": {"huggingFace": {"id": f"file://{encoder}"}},
        "student": {"initFromTeacher": {"count": 2}},
        "dataset": {"files": {"uri": f"file://{workspace.root / 'data'}", "format": "JsonLines"}},
        "objective": {"alpha": 0, "terms": TERMS},
        "evaluation": {"metric": "spearman"},
        "training": SGD,
    }


@pytest.mark.parametrize(
    ("world", "strategy", "outputs"),
    [(2, "DDP", "Online"), (4, "DDP", "Cached"), (4, "FSDP", "Online"), (2, "FSDP", "Cached")],
)
def test_processes_embed_as_one_does(workspace, job, world, strategy, outputs):
    job["training"] = {**SGD, "strategy": strategy}
    assert_same(workspace, world, **job, teacherOutputs={"mode": outputs})


def test_relations_of_pictures_and_of_layers(workspace):
    relations = [
        {"type": "Relational"},
        {"type": "Relational", "angle": 0, "pairs": [{"teacher": "fc", "student": "features.1"}]},
    ]
    training = {"epochs": 1, "optimizer": "SGD", "learningRate": 0.05, "batchSize": 25}
    student = {"builtin": {"name": "mlp"}}
    assert_same(workspace, 2, student=student, objective={"terms": relations}, training=training)


@pytest.mark.parametrize("kind", [TermType.KL_DIVERGENCE, TermType.RELATIONAL])
def test_shares_add_up_to_the_loss_and_the_gradient_of_all(kind):
    """Three processes, one after the other: what they gather is what each of them has."""
    torch.manual_seed(0)
    student, teacher = torch.randn(7, 5, requires_grad=True), torch.randn(7, 9)
    plan = TermPlan("term", Term(type=kind), 0.5)
    [term] = embedding_objective([plan]).terms
    labels = torch.zeros(7, dtype=torch.int64)
    whole = term.compare(Outputs(student), Outputs(teacher), Targets(labels))
    [wanted] = torch.autograd.grad(whole, student)
    total, gradient, first = 0.0, torch.zeros_like(student), 0
    for size in part_sizes(7, 3, 1):
        own = slice(first, first + size)

        def gather(vectors, samples, own=own):
            assert samples == 7
            found = (student if vectors.shape[1] == 5 else teacher).detach().clone()
            found[own] = vectors
            return found

        term.gather = gather
        targets = Targets(labels[own], samples=7.0, share=size / 7)
        loss = term.compare(Outputs(student[own]), Outputs(teacher[own]), targets)
        gradient += torch.autograd.grad(loss, student)[0]
        total, first = total + loss.item(), first + size
    assert total == pytest.approx(whole.item(), rel=1e-6)
    torch.testing.assert_close(gradient, wanted, atol=1e-7, rtol=1e-5)


def test_parts_are_even_and_none_is_too_small():
    assert part_sizes(7, 3, 1) == [3, 2, 2]
    assert part_sizes(2, 4, 1) == [1, 1]
    assert part_sizes(5, 4, 2) == [3, 2]
    assert part_sizes(1, 4, 2) == [1]
