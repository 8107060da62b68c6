"""The default objective, labels and Hinton's KL: its value by hand, its gradient, its limits."""

import math

import pytest
import torch

from distill_trainer.losses import Outputs, Targets, cross_entropy, kl_divergence, kl_objective


def logits(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def combined(alpha, temperature, student, teacher, labels):
    return kl_objective(alpha, temperature)(Outputs(student), Outputs(teacher), Targets(labels))


def test_kl_by_hand():
    # p = (3/4, 1/4), q = (1/2, 1/2): KL = ln 2 − H(p)
    teacher, student = logits([math.log(3), 0.0]), logits([0.0, 0.0])
    by_hand = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert kl_divergence(student, teacher, 1.0).item() == pytest.approx(by_hand, abs=1e-12)


def test_kl_of_three_classes():
    assert kl_divergence(logits([0, 1, 0]), logits([2, 0, -1]), 1.0).item() == pytest.approx(
        0.912983, abs=1e-6
    )


def test_temperature_divides_both_logits_and_squares_outside():
    teacher, student = logits([8.0, 0.0, -4.0]), logits([0.0, 4.0, 0.0])
    quarter = kl_divergence(student / 4, teacher / 4, 1.0)
    assert kl_divergence(student, teacher, 4.0).item() == pytest.approx(16 * quarter.item(), rel=1e-12)


def test_kl_is_a_mean_over_rows_and_a_sum_over_classes():
    teacher, student = torch.randn(5, 7, dtype=torch.float64), torch.randn(5, 7, dtype=torch.float64)
    rows = [kl_divergence(student[i : i + 1], teacher[i : i + 1], 2.0).item() for i in range(5)]
    assert kl_divergence(student, teacher, 2.0).item() == pytest.approx(sum(rows) / 5, rel=1e-12)


def test_kl_is_zero_with_zero_gradient_where_both_are_equal():
    student = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    loss = kl_divergence(student, student.detach() + 3.0, 5.0)  # logits only matter up to a constant
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert student.grad.abs().max().item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_gradient_is_t_times_difference_of_probabilities(temperature):
    student = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(3, 5, dtype=torch.float64)
    kl_divergence(student, teacher, temperature).backward()
    difference = (student / temperature).softmax(-1) - (teacher / temperature).softmax(-1)
    torch.testing.assert_close(student.grad, temperature * difference.detach() / 3)


def test_limit_of_great_temperature():
    student, teacher = torch.randn(4, 6, dtype=torch.float64), torch.randn(4, 6, dtype=torch.float64)
    centred = (student - student.mean(-1, keepdim=True)) - (teacher - teacher.mean(-1, keepdim=True))
    limit = (centred**2).sum(-1).mean() / (2 * 6)
    assert kl_divergence(student, teacher, 1e4).item() == pytest.approx(limit.item(), rel=1e-3)


@pytest.mark.parametrize(
    "loss",
    [
        lambda z, t, y: kl_divergence(z, t, 3.0),
        lambda z, t, y: cross_entropy(z, y),
        lambda z, t, y: combined(0.3, 2.0, z, t, y).total,
    ],
)
def test_gradcheck(loss):
    student = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    teacher, labels = torch.randn(3, 4, dtype=torch.float64), torch.tensor([0, 3, 1])
    assert torch.autograd.gradcheck(lambda z: loss(z, teacher, labels), student)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_large_logits_stay_finite(dtype):
    student = torch.tensor([[3e4, -3e4, 0.0]], dtype=dtype, requires_grad=True)
    teacher = torch.tensor([[-3e4, 3e4, 0.0]], dtype=dtype)
    parts = combined(0.5, 1.0, student, teacher, torch.tensor([2]))
    parts.total.backward()
    assert torch.isfinite(parts.stacked()).all()
    assert torch.isfinite(student.grad).all()
    assert parts.distillation.item() == pytest.approx(6e4, rel=0.01)


def test_half_precision_is_computed_in_float32():
    student, teacher = torch.randn(64, 100), torch.randn(64, 100)
    exact = kl_divergence(student.bfloat16().double(), teacher.bfloat16().double(), 4.0)
    assert kl_divergence(student.bfloat16(), teacher.bfloat16(), 4.0).item() == pytest.approx(
        exact.item(), rel=1e-4
    )


def test_alpha_weighs_the_labels():
    student, teacher, labels = logits([1.0, 2.0]), logits([0.0, 3.0]), torch.tensor([0])
    task, distillation = cross_entropy(student, labels).item(), kl_divergence(student, teacher, 4.0).item()
    for alpha in (0.0, 0.25, 1.0):
        parts = combined(alpha, 4.0, student, teacher, labels)
        assert parts.total.item() == pytest.approx(alpha * task + (1 - alpha) * distillation, rel=1e-12)
