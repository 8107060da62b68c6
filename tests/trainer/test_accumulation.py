"""A batch cut into micro-batches makes the same step, whatever counts in each of them."""

import json

import pytest
import torch
from torch import nn

from distill_api.contract import ExitCode
from distill_api.terms import Term
from distill_api.training import Training
from distill_trainer.losses import Combined, Outputs, Targets, TermPlan, build_objective
from distill_trainer.order import own_parts
from distill_trainer.step import Example, make_optimizer, train_step

CLASSES, LENGTH = 5, 9


class Bigrams(nn.Module):
    """Logits at a position are the row of its token, so gradients can be followed by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.linspace(-1, 1, CLASSES * CLASSES).reshape(CLASSES, CLASSES).sin())

    def forward(self, tokens):
        return self.table[tokens]


def objective(alpha: float, *terms: str) -> Combined:
    plans = [TermPlan(name, Term(type=name), 2.0) for name in terms]
    return build_objective(alpha, plans)


def one_here_nine_there():
    """Two samples, whose answers are 1 and 9 tokens long."""
    generator = torch.Generator().manual_seed(3)
    tokens = torch.randint(CLASSES, (2, LENGTH), generator=generator)
    labels = torch.randint(CLASSES, (2, LENGTH), generator=generator)
    teacher = torch.randn(2, LENGTH, CLASSES, generator=generator)
    mask = torch.tensor([[True] + [False] * 8, [True] * 9])
    return tokens, labels, teacher, mask


def step(parts, terms=("KLDivergence",), *, rows=10.0):
    """Weights after one step of SGD with rate 1, and its loss."""
    tokens, labels, teacher, mask = one_here_nine_there()
    network = Bigrams()
    optimizer = make_optimizer(network, Training(optimizer="SGD", learning_rate=1, weight_decay=0))
    examples = [
        Example(
            tokens[part],
            Outputs(teacher[part]),
            Targets(labels[part], mask=mask[part], count=rows, samples=2.0, share=len(part) / 2),
        )
        for part in parts
    ]
    losses = train_step(network, optimizer, objective(0.3, *terms), examples, rate=1.0, clip=None)
    return network.table.detach(), losses.stacked()


@pytest.mark.parametrize("term", ["KLDivergence", "MSELogits", "SoftTargetCrossEntropy", "Decoupled"])
def test_one_token_here_nine_there(term):
    whole, loss = step([[0, 1]], (term,))
    cut, cut_loss = step([[0], [1]], (term,))
    torch.testing.assert_close(cut, whole, atol=1e-6, rtol=0)
    torch.testing.assert_close(cut_loss, loss, atol=1e-6, rtol=0)
    one, nine = step([[0]], (term,), rows=1.0)[1], step([[1]], (term,), rows=9.0)[1]
    torch.testing.assert_close(cut_loss, (one + 9 * nine) / 10, atol=1e-6, rtol=0)
    assert not torch.allclose(cut_loss, (one + nine) / 2, atol=1e-3)  # the mean of means


def test_losses_that_compare_samples_are_weighed_by_what_they_saw():
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(6, 4, generator=generator) for _ in "st")
    relation = objective(0, "Relational")

    def loss(rows, share):
        targets = Targets(torch.zeros(len(rows), dtype=torch.long), share=share)
        return relation(Outputs(student[rows]), Outputs(teacher[rows]), targets).total

    first, second = loss([0, 1, 2], 1.0), loss([3, 4, 5], 1.0)
    torch.testing.assert_close(loss([0, 1, 2], 0.5) + loss([3, 4, 5], 0.5), (first + second) / 2)


@pytest.mark.parametrize(
    ("samples", "cuts", "smallest", "world"),
    [(7, 3, 1, 1), (7, 3, 2, 1), (9, 2, 2, 2), (1, 4, 2, 4), (8, 1, 1, 3)],
)
def test_every_sample_of_a_step_is_in_one_part(samples, cuts, smallest, world):
    indices = torch.arange(samples) + 100
    parts = [own_parts(indices, cuts, smallest=smallest, rank=rank, world=world) for rank in range(world)]
    assert sorted(torch.cat([part for own in parts for part in own]).tolist()) == indices.tolist()
    assert all(len(own) <= cuts for own in parts)
    assert all(len(part) >= min(smallest, samples) for own in parts for part in own)


def history(workspace, name):
    [result] = (workspace.output.parent / name / "versions").glob("*/result.json")
    return json.loads(result.read_text())["detail"]["history"]


MLP = {"builtin": {"name": "mlp"}}


def test_a_run_in_micro_batches_prints_the_losses_of_whole_steps_and_resumes_exactly(workspace, stop_after):
    """The last batch of an epoch cannot be cut evenly."""
    first = {"epochs": 1, "optimizer": "SGD", "learningRate": 0.01}
    one = workspace.train(student=MLP, training=first, output={"uri": "pvc://models/one"})
    cut = {"student": MLP, "training": {**first, "gradientAccumulation": 3}}
    three = workspace.train(**cut, output={"uri": "pvc://models/three"})
    assert one.code is three.code is ExitCode.SUCCEEDED, (one.outcome, three.outcome)
    [whole], [parts] = history(workspace, "one"), history(workspace, "three")
    for name in ("loss", "task_loss", "distillation_loss"):
        assert parts[name] == pytest.approx(whole[name], abs=1e-6)
    assert workspace.train(stop_after(9), **cut).code is ExitCode.DISRUPTED
    resumed = workspace.train(**cut)
    assert resumed.outcome.result.artifact.digest == three.outcome.result.artifact.digest


def test_what_cannot_be_cut_is_refused(workspace):
    ended = workspace.train(student=MLP, training={"batchSize": 4, "gradientAccumulation": 8})
    assert (ended.code, ended.outcome.reason) == (ExitCode.CONTRACT_BROKEN, "BatchTooSmall")
    assert "training.batchSize 4 cannot be cut into 8 parts" in ended.outcome.message


def test_a_cut_batch_is_warned_about_where_it_is_not_the_same(workspace, caplog):
    terms = [{"type": "Relational"}]
    with caplog.at_level("WARNING"):
        workspace.train(
            student=MLP, objective={"terms": terms}, training={"epochs": 1, "gradientAccumulation": 2}
        )
    assert "batches are cut into 2 parts: Relational" in caplog.text
    assert "compare the samples of a part" in caplog.text
