"""Losses of logits: variants of KL, MSE, soft targets, Decoupled; values, an independent formula, limits, invariances."""

import math

import pytest
import torch

from distill_api.terms import Term, TermType
from distill_api.training import Objective, Training
from distill_trainer.losses import Outputs, Targets, TermPlan, build_objective, cross_entropy, kl_divergence
from distill_trainer.losses.decoupled import decoupled
from distill_trainer.losses.kl_divergence import jensen_shannon, reverse_kl, skewed_kl
from distill_trainer.losses.mse_logits import mse_logits
from distill_trainer.losses.rows import real_columns
from distill_trainer.losses.soft_target_cross_entropy import soft_target_cross_entropy
from distill_trainer.step import Example, make_optimizer, train_step

TEACHER, STUDENT = [2.0, 0.0, -1.0], [0.0, 1.0, 0.0]
LABELS = torch.tensor([0, 3, 1, 2, 2, 0])

ROW_LOSSES = {
    "Forward": lambda z, t, y, **rows: kl_divergence(z, t, 3.0, **rows),
    "Reverse": lambda z, t, y, **rows: reverse_kl(z, t, 3.0, **rows),
    "JensenShannon": lambda z, t, y, **rows: jensen_shannon(z, t, 3.0, beta=0.3, **rows),
    "Skewed": lambda z, t, y, **rows: skewed_kl(z, t, 3.0, skew=0.2, **rows),
    "MSELogits": lambda z, t, y, **rows: mse_logits(z, t, **rows),
    "SoftTargetCrossEntropy": lambda z, t, y, **rows: soft_target_cross_entropy(z, t, 3.0, **rows),
    "Decoupled": lambda z, t, y, **rows: decoupled(z, t, y, 3.0, alpha=1.5, beta=4.0, **rows),
    "CrossEntropy": lambda z, t, y, **rows: cross_entropy(z, y, **rows),
}
ZERO_AT_EQUAL = [name for name in ROW_LOSSES if name not in {"SoftTargetCrossEntropy", "CrossEntropy"}]
every_loss = pytest.mark.parametrize("loss", ROW_LOSSES.values(), ids=ROW_LOSSES.keys())


def row(values, **kind):
    return torch.tensor([values], dtype=torch.float64, **kind)


def probabilities(logits, temperature=1.0):
    """Plain Python, so that nothing is shared with the code under test."""
    powers = [math.exp(value / temperature) for value in logits]
    return [power / sum(powers) for power in powers]


def plain_kl(p, q):
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)


def logits_of(seed, *shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def objective(share, degree, /, **term):
    term = Term.model_validate(term)
    used = degree if term.temperature is None else term.temperature
    return build_objective(share, [TermPlan("it", term, used)])


# Values


@pytest.mark.parametrize(
    ("beta", "value"), [(0.1, 0.080093), (0.5, 0.216673), (0.9, 0.084493), (0.999, 0.000981)]
)
def test_jensen_shannon_mixes_probabilities_with_the_teachers_share(beta, value):
    p, q = probabilities(TEACHER), probabilities(STUDENT)
    m = [beta * a + (1 - beta) * b for a, b in zip(p, q, strict=True)]
    by_hand = beta * plain_kl(p, m) + (1 - beta) * plain_kl(q, m)
    found = jensen_shannon(row(STUDENT), row(TEACHER), 1.0, beta=beta).item()
    assert found == pytest.approx(by_hand, abs=1e-12)
    assert found == pytest.approx(value, abs=1e-6)


def test_jensen_shannon_takes_the_squared_temperature():
    assert jensen_shannon(row(STUDENT), row(TEACHER), 2.0).item() == pytest.approx(0.259593, abs=1e-6)


@pytest.mark.parametrize(("beta", "limit"), [(1e-7, kl_divergence), (1 - 1e-7, reverse_kl)])
def test_jensen_shannon_goes_to_zero_at_its_ends_like_the_divergence_it_is_named_for(beta, limit):
    z, t = row(STUDENT), row(TEACHER)
    found = jensen_shannon(z, t, 1.0, beta=beta).item()
    assert 0 < found < 1e-6
    assert found / min(beta, 1 - beta) == pytest.approx(limit(z, t, 1.0).item(), rel=1e-4)


@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_jensen_shannon_refuses_its_ends(beta):
    with pytest.raises(ValueError, match="use Forward or Reverse"):
        jensen_shannon(row(STUDENT), row(TEACHER), 1.0, beta=beta)


def test_reverse_kl():
    assert reverse_kl(row(STUDENT), row(TEACHER), 1.0).item() == pytest.approx(0.982577, abs=1e-6)
    assert reverse_kl(row(STUDENT), row(TEACHER), 3.0).item() == pytest.approx(
        kl_divergence(row(TEACHER), row(STUDENT), 3.0).item(), rel=1e-12
    )


def test_skewed_kl():
    p, q = probabilities(TEACHER, 2), probabilities(STUDENT, 2)
    mixed = [0.1 * a + 0.9 * b for a, b in zip(p, q, strict=True)]
    assert skewed_kl(row(STUDENT), row(TEACHER), 2.0).item() == pytest.approx(
        4 * plain_kl(p, mixed), rel=1e-12
    )


def test_skewed_kl_is_bounded_where_kl_is_not():
    z, t = row([-200.0, 200.0]), row([200.0, -200.0])
    assert kl_divergence(z, t, 1.0).item() == pytest.approx(400)
    assert skewed_kl(z, t, 1.0, skew=0.1).item() == pytest.approx(-math.log(0.1))


def test_mse_is_of_the_raw_logits():
    assert mse_logits(row(STUDENT), row(TEACHER)).item() == pytest.approx((4 + 1 + 1) / 3, rel=1e-12)
    z, t, y = row(STUDENT), row(TEACHER), torch.tensor([0])
    for temperature in (1.0, 4.0):
        found = objective(0, temperature, type="MSELogits")(Outputs(z), Outputs(t), Targets(y))
        assert found.total.item() == pytest.approx(2, rel=1e-12)


def test_soft_targets_are_kl_and_the_teachers_entropy():
    p = probabilities(TEACHER, 4)
    entropy = -sum(a * math.log(a) for a in p)
    kl = kl_divergence(row(STUDENT), row(TEACHER), 4.0).item()
    found = soft_target_cross_entropy(row(STUDENT), row(TEACHER), 4.0).item()
    assert found == pytest.approx(kl + 16 * entropy, rel=1e-12)


def test_soft_targets_and_kl_have_the_same_gradient():
    teacher, grads = logits_of(1, 4, 5), []
    for loss in (kl_divergence, soft_target_cross_entropy):
        student = logits_of(2, 4, 5).requires_grad_()
        loss(student, teacher, 4.0).backward()
        grads.append(student.grad)
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize(
    ("teacher", "student", "temperature", "alpha", "beta", "value"),
    [
        ([60, 5, 0], [0, 0, 0], 1.0, 1, 0, 1.098612),
        ([60, 5, 0], [0, 0, 0], 1.0, 0, 1, 0.652968),
        ([60, 5, 0], [0, 0, 0], 1.0, 1, 8, 6.322352),
        ([60, 5, 0], [0, 0, 0], 4.0, 1, 8, 38.421357),
        ([0, 0, 0], [60, 0, 0], 1.0, 1, 0, 38.901388),
        ([0, 0, 0], [60, 0, 0], 1.0, 0, 1, 0.0),
    ],
)
def test_decoupled_with_a_sure_teacher_or_student(teacher, student, temperature, alpha, beta, value, dtype):
    z = torch.tensor([student], dtype=dtype, requires_grad=True)
    loss = decoupled(
        z, torch.tensor([teacher], dtype=dtype), torch.tensor([0]), temperature, alpha=alpha, beta=beta
    )
    loss.backward()
    assert loss.item() == pytest.approx(value, rel=1e-5, abs=1e-6)
    assert torch.isfinite(z.grad).all()


def test_decoupled_weighs_up_to_kl():
    # Equation 6 of the paper: KL = TCKD + (1 − p_target)·NCKD, row by row.
    z, t, y = row(STUDENT), row(TEACHER), torch.tensor([1])
    rest = 1 - probabilities(TEACHER)[1]
    assert decoupled(z, t, y, 1.0, alpha=1, beta=rest).item() == pytest.approx(
        kl_divergence(z, t, 1.0).item(), rel=1e-12
    )


def test_decoupled_needs_a_third_class_and_not_that_it_occurs():
    with pytest.raises(ValueError, match="2 classes"):
        decoupled(torch.zeros(1, 2), torch.zeros(1, 2), torch.tensor([0]), 1.0)
    assert decoupled(torch.zeros(2, 3), torch.ones(2, 3), torch.tensor([0, 1]), 1.0).item() == 0


def test_one_step_on_a_table_of_logits_moves_it_by_the_gradient():
    class Table(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.rows = torch.nn.Parameter(torch.zeros(1, 3))

        def forward(self, index):
            return self.rows[index]

    table = Table()
    optimizer = make_optimizer(table, Training(optimizer="SGD", learning_rate=1, weight_decay=0))
    train_step(
        table,
        optimizer,
        objective(0, 1, type="Decoupled", alpha=1, beta=8),
        [Example(torch.tensor([0]), Outputs(torch.tensor([[60.0, 5.0, 0.0]])), Targets(torch.tensor([0])))],
        rate=1.0,
        clip=None,
    )
    # −∂/∂z: TCKD gives 1 − 1/3 to the target and −1/3 to each other; NCKD 8·(p̂ − ½) to the others.
    p = probabilities([5, 0])[0]
    wanted = torch.tensor([[2 / 3, -1 / 3 + 8 * (p - 0.5), -1 / 3 + 8 * (0.5 - p)]])
    torch.testing.assert_close(table.rows.detach(), wanted)


# Padded heads


@pytest.mark.parametrize("padding", [-20.0, 0.0, 7.0, 20.0])
def test_padded_heads_compare_the_real_classes_alone(padding):
    teacher, student = row([1.0, 0.0, -1.0, padding, padding]), row([0.0, 0.0, 0.0, 5.0])
    loss = kl_divergence(*real_columns(student, teacher, 3), 1.0)
    assert loss.item() == pytest.approx(0.266217, abs=1e-6)


def test_heads_of_different_width_are_not_broadcast_and_a_narrow_one_is_named():
    with pytest.raises(ValueError, match=r"student gives \[1, 4\] and teacher \[1, 5\]"):
        kl_divergence(torch.zeros(1, 4), torch.zeros(1, 5), 1.0)
    with pytest.raises(ValueError, match="student's head has 4 columns"):
        real_columns(torch.zeros(1, 4), torch.zeros(1, 5), 5)


# What holds for all


@every_loss
def test_gradcheck(loss):
    student, teacher = logits_of(3, 6, 4).requires_grad_(), logits_of(4, 6, 4)
    assert torch.autograd.gradcheck(lambda z: loss(z, teacher, LABELS), student)


@pytest.mark.parametrize("name", ZERO_AT_EQUAL)
def test_zero_with_zero_gradient_at_the_teachers_logits(name):
    student = logits_of(5, 6, 4).requires_grad_()
    loss = ROW_LOSSES[name](student, student.detach().clone(), LABELS)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert student.grad.abs().max().item() == pytest.approx(0, abs=1e-12)


@every_loss
def test_the_order_of_rows_does_not_matter(loss):
    student, teacher, order = logits_of(6, 6, 4), logits_of(7, 6, 4), torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(
        loss(student[order], teacher[order], LABELS[order]), loss(student, teacher, LABELS)
    )


@every_loss
def test_uneven_micro_batches_add_up_with_the_global_count(loss):
    student, teacher = logits_of(8, 6, 4), logits_of(9, 6, 4)
    parts = [loss(student[part], teacher[part], LABELS[part], count=6) for part in (slice(0, 1), slice(1, 6))]
    torch.testing.assert_close(sum(parts), loss(student, teacher, LABELS))


@every_loss
def test_padding_counts_for_nothing_even_where_it_is_no_number(loss):
    student, teacher = logits_of(10, 6, 4), logits_of(11, 6, 4)
    mask = torch.tensor([[True, True, False], [True, True, True], [False, True, False]])
    padded_z, padded_t = (torch.full((3, 3, 4), math.nan, dtype=torch.float64) for _ in range(2))
    padded_z[mask], padded_t[mask] = student, teacher
    labels = torch.full((3, 3), -100)
    labels[mask] = LABELS
    padded_z.requires_grad_()
    found = loss(padded_z, padded_t, labels, mask=mask)
    found.backward()
    torch.testing.assert_close(found, loss(student, teacher, LABELS))
    assert torch.isfinite(padded_z.grad).all()
    assert padded_z.grad[~mask].abs().sum() == 0


def test_one_token_here_and_nine_there():
    # per-token losses 2.0 and 0.5: 0.65, not 1.25 (mean of means) and not 1.30 (sum of means)
    low, high = math.log(math.e**2 - 1), math.log(math.e**0.5 - 1)
    logits, labels = (
        torch.tensor([[0, low]] + [[0, high]] * 9, dtype=torch.float64),
        torch.zeros(10, dtype=torch.int64),
    )
    parts = [cross_entropy(logits[cut], labels[cut], count=10) for cut in (slice(0, 1), slice(1, 10))]
    assert sum(parts).item() == pytest.approx(0.65, rel=1e-12)


def test_no_row_at_all_is_zero():
    nothing = torch.zeros(2, 3, dtype=torch.bool)
    assert kl_divergence(torch.zeros(2, 3, 4), torch.ones(2, 3, 4), 1.0, mask=nothing).item() == 0


@every_loss
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_is_finite_and_computed_in_32_bits(loss, dtype):
    student = (30 * logits_of(12, 6, 4)).to(dtype).requires_grad_()
    teacher = (30 * logits_of(13, 6, 4)).to(dtype)
    found = loss(student, teacher, LABELS)
    found.backward()
    assert found.dtype is torch.float32
    assert torch.isfinite(student.grad).all()
    exact = loss(student.detach().double(), teacher.double(), LABELS)
    assert found.item() == pytest.approx(exact.item(), rel=1e-4)


@pytest.mark.parametrize("name", ["Forward", "Reverse", "JensenShannon", "Skewed"])
def test_limit_of_great_temperature(name):
    student, teacher = logits_of(14, 6, 4), logits_of(15, 6, 4)
    centred = (student - student.mean(-1, keepdim=True)) - (teacher - teacher.mean(-1, keepdim=True))
    quarter = (centred**2).sum(-1).mean() / (2 * 4)
    # Second order of each divergence at p = q, relative to that of KL.
    factor = {"Forward": 1, "Reverse": 1, "JensenShannon": 0.3 * 0.7, "Skewed": 0.8**2}[name]
    loss = {
        "Forward": kl_divergence,
        "Reverse": reverse_kl,
        "JensenShannon": lambda z, t, temperature: jensen_shannon(z, t, temperature, beta=0.3),
        "Skewed": lambda z, t, temperature: skewed_kl(z, t, temperature, skew=0.2),
    }[name]
    assert loss(student, teacher, 1e4).item() == pytest.approx(factor * quarter.item(), rel=1e-3)


# The temperature, α and the weights reach the losses


@pytest.mark.parametrize(
    "term",
    [
        {"type": "KLDivergence"},
        {"type": "KLDivergence", "variant": "Reverse"},
        {"type": "KLDivergence", "variant": "JensenShannon", "beta": 0.25},
        {"type": "KLDivergence", "variant": "Skewed", "skew": 0.3},
        {"type": "SoftTargetCrossEntropy"},
        {"type": "Decoupled", "alpha": 2.0, "beta": 3.0},
    ],
)
def test_the_objectives_temperature_holds_unless_the_term_has_its_own(term):
    z, t, y = Outputs(row(STUDENT)), Outputs(row(TEACHER)), Targets(torch.tensor([0]))
    at_three = objective(0, 3.0, **term)(z, t, y).total.item()
    assert at_three == pytest.approx(objective(0, 1.0, temperature=3.0, **term)(z, t, y).total.item())
    assert at_three != pytest.approx(objective(0, 1.0, **term)(z, t, y).total.item(), rel=1e-3)


def test_the_terms_own_fields_reach_the_loss():
    z, t, y = row(STUDENT), row(TEACHER), torch.tensor([0])
    for term, wanted in (
        (
            {"type": "KLDivergence", "variant": "JensenShannon", "beta": 0.25},
            jensen_shannon(z, t, 1.0, beta=0.25),
        ),
        ({"type": "KLDivergence", "variant": "Skewed", "skew": 0.3}, skewed_kl(z, t, 1.0, skew=0.3)),
        ({"type": "KLDivergence", "variant": "Reverse"}, reverse_kl(z, t, 1.0)),
        ({"type": "Decoupled", "alpha": 2, "beta": 3}, decoupled(z, t, y, 1.0, alpha=2, beta=3)),
    ):
        found = objective(0, 1.0, **term)(Outputs(z), Outputs(t), Targets(y)).total
        assert found.item() == pytest.approx(wanted.item(), rel=1e-12)


def test_alpha_weighs_the_labels_and_weights_the_terms():
    z, t, y = row(STUDENT), row(TEACHER), torch.tensor([0])
    terms = [Term(type=TermType.KL_DIVERGENCE, weight=2), Term(type=TermType.MSE_LOGITS, weight=0.5)]
    plans = [TermPlan(term.type.value, term, 4.0) for term in terms]
    parts = build_objective(0.3, plans)(Outputs(z), Outputs(t), Targets(y))
    kl, mse, ce = kl_divergence(z, t, 4.0).item(), mse_logits(z, t).item(), cross_entropy(z, y).item()
    assert [term.item() for term in parts.terms] == pytest.approx([kl, mse])
    assert parts.distillation.item() == pytest.approx(2 * kl + 0.5 * mse, rel=1e-12)
    assert parts.total.item() == pytest.approx(0.3 * ce + 0.7 * (2 * kl + 0.5 * mse), rel=1e-12)


def test_without_terms_the_objective_is_one_kl():
    assert Objective().effective_terms == (Term(type=TermType.KL_DIVERGENCE),)
