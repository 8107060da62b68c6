"""Losses on a part of the teacher's distribution: values by hand, bounds, gradients, expectations."""

import math

import pytest
import torch

from distill_api.terms import KLVariant, Term, TermType
from distill_trainer.losses import Outputs, Targets, TermPlan, build_objective
from distill_trainer.losses.kl_divergence import (
    jensen_shannon,
    kl_divergence,
    kl_rows,
    reverse_kl,
    skewed_kl,
)
from distill_trainer.losses.soft_target_cross_entropy import soft_target_cross_entropy
from distill_trainer.losses.sparse import SampledTeacher, TopKTeacher

P = torch.tensor([[0.5, 0.25, 0.15, 0.10]], dtype=torch.float64)
Q = torch.tensor([[0.4, 0.3, 0.2, 0.1]], dtype=torch.float64)


def top_k(p, k, temperatures=(1.0,)):
    """What is known of probabilities [N, C], in double precision."""
    values, indices = p.topk(k)
    others = p.scatter(-1, indices, 0.0)
    tails = {t: (others ** (1 / t)).sum(-1).log() for t in temperatures}
    return TopKTeacher(indices, values.log(), tails)


def softened(p, temperature):
    powered = p ** (1 / temperature)
    return powered / powered.sum(-1, keepdim=True)


def grouped(p, indices):
    """K known classes, and the sum of the others."""
    known = p.gather(-1, indices)
    return torch.cat([known, 1 - known.sum(-1, keepdim=True)], dim=-1)


def test_the_tail_is_one_category():
    # 0.5·ln(0.5/0.4) + 0.25·ln(0.25/0.3) + 0.25·ln(0.25/0.3)
    by_hand = 0.5 * math.log(1.25) + 0.5 * math.log(0.25 / 0.3)
    assert kl_divergence(Q.log(), top_k(P, 2), 1.0).item() == pytest.approx(by_hand, abs=1e-12)
    whole = 0.5 * math.log(1.25) + 0.25 * math.log(0.25 / 0.3) + 0.15 * math.log(0.75)
    assert by_hand < whole


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
@pytest.mark.parametrize(
    ("loss", "formula"),
    [
        (kl_divergence, lambda p, q: (p * (p / q).log()).sum()),
        (reverse_kl, lambda p, q: (q * (q / p).log()).sum()),
        (
            jensen_shannon,
            lambda p, q: 0.5 * sum((a * (2 * a / (p + q)).log()).sum() for a in (p, q)),
        ),
        (skewed_kl, lambda p, q: (p * (p / (0.1 * p + 0.9 * q)).log()).sum()),
        (soft_target_cross_entropy, lambda p, q: -(p * q.log()).sum()),
    ],
)
def test_every_divergence_is_that_of_the_grouped_classes(loss, formula, temperature):
    torch.manual_seed(0)
    p, q = torch.rand(2, 6, 9, dtype=torch.float64).log_softmax(-1).exp()
    teacher = top_k(p, 3, (temperature,))
    pairs = [grouped(softened(each, temperature), teacher.indices) for each in (p, q)]
    expected = temperature**2 * sum(formula(*row) for row in zip(*pairs, strict=True)) / 6
    assert loss(q.log(), teacher, temperature).item() == pytest.approx(expected.item(), abs=1e-12)


def test_it_is_never_more_than_the_whole_and_is_the_whole_where_the_tail_is_alike():
    torch.manual_seed(0)
    for scale in (0.1, 1.0, 8.0):
        z_t, z_s = scale * torch.randn(2, 200, 30, dtype=torch.float64)
        teacher = top_k(z_t.softmax(-1), 4, (2.0,))
        assert (kl_rows(z_s, teacher, 2.0) <= kl_rows(z_s, z_t, 2.0) + 1e-12).all()
        same_tail = z_t.clone()
        same_tail[:, 0] += 1.0  # one class more or less likely, all others as the teacher has them
        known = TopKTeacher(
            torch.zeros(200, 1, dtype=torch.int64),
            z_t.log_softmax(-1)[:, :1],
            {2.0: (z_t.log_softmax(-1)[:, 1:] / 2).logsumexp(-1)},
        )
        torch.testing.assert_close(kl_rows(same_tail, known, 2.0), kl_rows(same_tail, z_t, 2.0))


def test_zero_with_zero_gradient_where_both_are_equal():
    z = (3 * torch.randn(5, 12, dtype=torch.float64)).requires_grad_()
    loss = kl_divergence(z, top_k(z.detach().softmax(-1), 4), 1.0)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert z.grad.abs().max() < 1e-12


def test_gradients():
    torch.manual_seed(0)
    teacher = top_k(torch.randn(3, 7, dtype=torch.float64).softmax(-1), 2, (1.5,))
    drawn = SampledTeacher(torch.randint(7, (3, 5)), torch.rand(3, dtype=torch.float64), 1.5)
    z = torch.randn(3, 7, dtype=torch.float64, requires_grad=True)
    for loss in (kl_divergence, reverse_kl, jensen_shannon, skewed_kl, soft_target_cross_entropy):
        assert torch.autograd.gradcheck(lambda z, loss=loss: loss(z, teacher, 1.5), z)
    for loss in (kl_divergence, soft_target_cross_entropy):
        assert torch.autograd.gradcheck(lambda z, loss=loss: loss(z, drawn, 1.5), z)


def test_a_student_surer_than_float32_can_say_keeps_finite_gradients():
    """1 − Σ q of the known classes is 0 in float32 here: the tail has to come from its own logits."""
    z = torch.tensor([[60.0, 0.0, -5.0, -5.0]], requires_grad=True)
    loss = kl_divergence(z, top_k(P.float(), 2), 1.0)
    loss.backward()
    lse = 60.0
    log_q = [0.0, -lse, math.log(2 * math.exp(-5.0)) - lse]
    by_hand = sum(p * (math.log(p) - q) for p, q in zip((0.5, 0.25, 0.25), log_q, strict=True))
    assert loss.item() == pytest.approx(by_hand, rel=1e-6)
    # q − p of each category, spread over the tail by the student's own shares of it
    torch.testing.assert_close(z.grad, torch.tensor([[0.5, -0.25, -0.125, -0.125]]))


def test_draws_weigh_alike():
    teacher = SampledTeacher(torch.tensor([[0, 0, 0, 2]]), torch.tensor([0.4], dtype=torch.float64), 1.0)
    by_hand = -(3 * math.log(0.4) + math.log(0.2)) / 4
    assert soft_target_cross_entropy(Q.log(), teacher, 1.0).item() == pytest.approx(by_hand, abs=1e-12)
    assert kl_divergence(Q.log(), teacher, 1.0).item() == pytest.approx(by_hand - 0.4, abs=1e-12)


def test_draws_of_another_temperature_are_refused():
    teacher = SampledTeacher(torch.zeros(1, 1, dtype=torch.int64), torch.zeros(1), 2.0)
    with pytest.raises(ValueError, match="temperature 2, not 1"):
        kl_divergence(Q.log(), teacher, 1.0)


def test_padding_and_the_count_of_the_step():
    """Rows of the mask alone are known; the divisor is that of the whole step."""
    z = torch.randn(2, 3, 4, dtype=torch.float64)
    mask = torch.tensor([[True, False, True], [False, True, False]])
    known = top_k(torch.randn(3, 4, dtype=torch.float64).softmax(-1), 2)
    per_row = kl_rows(z[mask], known, 1.0)
    assert kl_divergence(z, known, 1.0, mask=mask).item() == pytest.approx(per_row.mean().item())
    assert kl_divergence(z, known, 1.0, mask=mask, count=6).item() == pytest.approx(per_row.sum().item() / 6)


@pytest.mark.parametrize("variant", KLVariant)
def test_the_objective_takes_it_in_place_of_logits(variant):
    plan = TermPlan("KL", Term(type=TermType.KL_DIVERGENCE, variant=variant), 2.0)
    known = top_k(P, 2, (2.0,))
    losses = {
        KLVariant.FORWARD: kl_divergence,
        KLVariant.REVERSE: reverse_kl,
        KLVariant.JENSEN_SHANNON: jensen_shannon,
        KLVariant.SKEWED: skewed_kl,
    }
    said = Outputs(torch.empty(0), sparse=known)
    value = build_objective(0.0, [plan])(Outputs(Q.log()), said, Targets(torch.tensor([0]))).total
    assert value.item() == pytest.approx(losses[variant](Q.log(), known, 2.0).item())
