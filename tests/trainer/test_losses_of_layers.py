"""Losses of layers and embeddings: attention transfer, hints, relations, contrast."""

import math

import pytest
import torch
import torch.nn.functional as F

from distill_api.terms import AttentionMode, LayerPair, Projection, Term
from distill_trainer.losses import LOGITS, Outputs, PlannedPair, Targets, TermPlan, build_objective
from distill_trainer.losses.attention_transfer import attention_transfer
from distill_trainer.losses.contrastive import ContrastiveTerm, contrastive
from distill_trainer.losses.embedding import embedding
from distill_trainer.losses.hint import HintTerm, hint
from distill_trainer.losses.relational import angle_loss, distance_loss, relational


def normal(seed, *shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def points(*rows):
    return torch.tensor(rows, dtype=torch.float64, requires_grad=True)


# AttentionTransfer


def test_attention_by_hand():
    # one sample, two channels, 1×2 maps: Q = (1+4, 0+4) and (9, 0)
    student = torch.tensor([[[[1.0, 0.0]], [[2.0, -2.0]]]], dtype=torch.float64)
    teacher = torch.tensor([[[[-3.0, 0.0]]]], dtype=torch.float64)
    a, b = 5 / math.sqrt(41) - 1, 4 / math.sqrt(41)
    paper, code = 0.5 * math.sqrt(a * a + b * b), (a * a + b * b) / 2
    assert attention_transfer(student, teacher).item() == pytest.approx(paper, rel=1e-12)
    assert attention_transfer(student, teacher, mode=AttentionMode.CODE).item() == pytest.approx(
        code, rel=1e-12
    )


@pytest.mark.parametrize("mode", [mode for mode in AttentionMode if not mode.of_transformers])
def test_attention_against_an_independent_formula(mode):
    student, teacher = normal(1, 3, 4, 2, 5), normal(2, 3, 7, 2, 5)
    each = []
    for s, t in zip(student, teacher, strict=True):
        q_s, q_t = ((maps**2).sum(0).reshape(-1) for maps in (s, t))
        difference = q_s / q_s.norm() - q_t / q_t.norm()
        each.append(difference.norm() / 2 if mode is AttentionMode.PAPER else (difference**2).mean())
    torch.testing.assert_close(attention_transfer(student, teacher, mode=mode), torch.stack(each).mean())


@pytest.mark.parametrize("mode", [mode for mode in AttentionMode if not mode.of_transformers])
def test_attention_gradient_and_its_zero(mode):
    student, teacher = normal(3, 2, 3, 2, 2).requires_grad_(), normal(4, 2, 2, 2, 2)
    assert torch.autograd.gradcheck(lambda a: attention_transfer(a, teacher, mode=mode), student)
    loss = attention_transfer(student, 3 * student.detach(), mode=mode)  # the length of Q does not matter
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert torch.isfinite(student.grad).all()


def test_a_layer_that_is_not_active_gives_no_nan():
    student = torch.zeros(2, 3, 2, 2, requires_grad=True)
    attention_transfer(student, torch.ones(2, 3, 2, 2)).backward()
    assert torch.isfinite(student.grad).all()


def test_the_weight_of_attention_is_the_papers_beta():
    pairs = (PlannedPair("t", "s", (2, 2, 2), (3, 2, 2)),)
    term = Term(type="AttentionTransfer", weight=1000, pairs=[LayerPair(teacher="t", student="s")])
    student, teacher, logits = normal(5, 2, 3, 2, 2), normal(6, 2, 2, 2, 2), torch.zeros(2, 2)
    found = build_objective(0, [TermPlan("it", term, 4.0, pairs)])(
        Outputs(logits, {"s": student}), Outputs(logits, {"t": teacher}), Targets(torch.tensor([0, 1]))
    )
    q_s, q_t = (F.normalize(maps.square().sum(1).flatten(1)) for maps in (student, teacher))
    assert found.total.item() == pytest.approx(1000 / 2 * (q_s - q_t).norm(dim=1).mean().item())


# Hint


def test_hint_is_half_the_squared_norm_of_a_sample():
    student, teacher = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[0.0, 0.0], [2.0, 0.0]])
    assert hint(student, teacher).item() == pytest.approx((0.5 * 5 + 0.5 * 4) / 2)
    assert torch.autograd.gradcheck(lambda z: hint(z, normal(7, 2, 3)), normal(8, 2, 3).requires_grad_())
    with pytest.raises(ValueError, match=r"\[2, 2\].*\[2, 3\]"):
        hint(student, torch.zeros(2, 3))


@pytest.mark.parametrize(("student", "teacher"), [((3, 4, 4), (5, 4, 4)), ((3,), (5,)), ((7, 3), (7, 5))])
def test_the_regressor_brings_maps_vectors_and_sequences_to_the_teachers_width(student, teacher):
    term = HintTerm((PlannedPair("t", "s", teacher, student, Projection.LINEAR),)).double()
    values, wanted = normal(9, 2, *student).requires_grad_(), normal(10, 2, *teacher)
    loss = term.compare(
        Outputs(values, {"s": values}), Outputs(wanted, {"t": wanted}), Targets(torch.zeros(2))
    )
    loss.backward()
    assert torch.isfinite(values.grad).all()
    assert all(weight.grad.abs().sum() > 0 for weight in term.parameters())


def test_the_regressor_of_maps_is_a_convolution_of_one_pixel():
    term = HintTerm((PlannedPair("t", "s", (5, 4, 4), (3, 4, 4), Projection.LINEAR),)).double()
    linear, values = term.regressors[0].linear, normal(11, 2, 3, 4, 4)
    torch.testing.assert_close(
        term.regressors[0](values), F.conv2d(values, linear.weight[..., None, None], linear.bias)
    )


# Relational

TEACHER = ((0.0, 0.0), (0.0, 0.0), (3.0, 4.0))


@pytest.mark.parametrize(
    ("student", "value"),
    [
        (((0.0, 0.0), (0.0, 0.0), (1.0, 0.0)), 0.0),
        (
            ((0.0, 0.0), (2.0, 0.0), (2.0, 0.0)),
            0.666667,
        ),  # not 0.333333 (μ over non-zero) nor 0.444444 (diagonal)
    ],
)
def test_distances_of_equal_samples(student, value):
    z = points(*student)
    loss = relational(z, points(*TEACHER), distance=1, angle=0)
    loss.backward()
    assert loss.item() == pytest.approx(value, abs=1e-6)
    assert torch.isfinite(z.grad).all()


@pytest.mark.parametrize("weights", [(1, 0), (0, 1), (1, 2)])
@pytest.mark.parametrize(
    ("student", "teacher"),
    [
        (((1.0, 1.0),) * 3, TEACHER),
        (TEACHER, ((1.0, 1.0),) * 3),
        (((1.0, 2.0),), ((3.0, 4.0),)),
        (((1.0, 2.0), (1.0, 2.0)), ((3.0, 4.0), (5.0, 6.0))),
    ],
    ids=["equal students", "equal teachers", "batch of one", "batch of two"],
)
def test_degenerate_batches_are_finite(student, teacher, weights):
    z = points(*student)
    loss = relational(z, points(*teacher), distance=weights[0], angle=weights[1])
    loss.backward()
    assert math.isfinite(loss.item())
    assert torch.isfinite(z.grad).all()


def plain_huber(difference):
    return 0.5 * difference**2 if abs(difference) < 1 else abs(difference) - 0.5


def test_relations_against_loops():
    student, teacher = normal(12, 5, 3) * 3, normal(13, 5, 4)
    n = range(5)
    pairs = [(i, j) for i in n for j in n if i != j]

    def distances(x):
        lengths = {pair: math.dist(x[pair[0]].tolist(), x[pair[1]].tolist()) for pair in pairs}
        mean = sum(lengths.values()) / len(pairs)
        return {pair: length / mean for pair, length in lengths.items()}

    def cosine(x, i, j, k):
        return F.cosine_similarity(x[i] - x[j], x[k] - x[j], dim=0).item()

    d_s, d_t = distances(student), distances(teacher)
    by_pairs = sum(plain_huber(d_s[pair] - d_t[pair]) for pair in pairs) / len(pairs)
    triplets = [(i, j, k) for i in n for j in n for k in n if len({i, j, k}) == 3]
    by_triplets = sum(plain_huber(cosine(student, *t) - cosine(teacher, *t)) for t in triplets) / len(
        triplets
    )
    assert distance_loss(student, teacher).item() == pytest.approx(by_pairs, rel=1e-9)
    assert angle_loss(student, teacher).item() == pytest.approx(by_triplets, rel=1e-9)
    assert relational(student, teacher, distance=3, angle=5).item() == pytest.approx(
        3 * by_pairs + 5 * by_triplets
    )


def test_angles_of_triplets_with_a_side_of_no_length_do_not_count():
    student, teacher = normal(14, 4, 2), normal(15, 4, 2)
    doubled_s, doubled_t = (torch.cat([x, x[:1]]) for x in (student, teacher))
    n = range(5)
    kept = [(i, j, k) for i in n for j in n for k in n if len({i % 4, j % 4, k % 4}) == 3]
    cos = lambda x, i, j, k: F.cosine_similarity(x[i] - x[j], x[k] - x[j], dim=0).item()  # noqa: E731
    wanted = sum(plain_huber(cos(doubled_s, *t) - cos(doubled_t, *t)) for t in kept) / len(kept)
    assert angle_loss(doubled_s, doubled_t).item() == pytest.approx(wanted, rel=1e-9)


def test_relations_do_not_see_scale_place_or_order():
    student, teacher, order = (
        normal(16, 6, 3).requires_grad_(),
        normal(17, 6, 3),
        torch.tensor([4, 2, 0, 5, 1, 3]),
    )
    plain = relational(student, teacher)
    torch.testing.assert_close(relational(7 * student + 2, teacher), plain)
    torch.testing.assert_close(relational(student[order], teacher[order]), plain)
    assert relational(student, student.detach() * 2 - 1).item() == pytest.approx(0, abs=1e-9)
    assert torch.autograd.gradcheck(lambda z: relational(z, teacher), student)


def test_relations_in_low_precision_are_finite():
    z = (100 * normal(18, 8, 3)).bfloat16().requires_grad_()
    relational(z, normal(19, 8, 5).bfloat16()).backward()
    assert torch.isfinite(z.grad).all()


def test_an_embedding_is_a_mean_over_space_or_positions():
    maps, sequence = normal(20, 2, 3, 4, 5), normal(21, 2, 7, 3)
    torch.testing.assert_close(embedding(maps), maps.mean((2, 3)))
    torch.testing.assert_close(embedding(sequence), sequence.mean(1))


# Contrastive


def unit(seed, *shape):
    return F.normalize(normal(seed, *shape), dim=-1)


def test_contrast_by_the_papers_equation():
    anchor, positive, negatives = unit(22, 3, 4), unit(23, 3, 4), unit(24, 5, 4)
    tau, samples = 0.5, 50
    total = 0.0
    for g, other in zip(anchor, positive, strict=True):
        h = lambda a, b: math.exp(a @ b / tau) / (math.exp(a @ b / tau) + 5 / samples)  # noqa: E731
        total -= math.log(h(g, other)) + sum(math.log(1 - h(g, n)) for n in negatives)
    found = contrastive(anchor, positive, negatives, temperature=tau, samples=samples)
    assert found.item() == pytest.approx(total / 3, rel=1e-9)
    assert torch.autograd.gradcheck(
        lambda a: contrastive(a, positive, negatives, temperature=tau, samples=samples),
        anchor.requires_grad_(),
    )


def test_a_rows_own_sample_is_no_negative():
    anchor, positive, negatives = unit(25, 2, 4), unit(26, 2, 4), unit(27, 4, 4)
    allowed = torch.tensor([[True, False, True, True], [True, True, True, True]])
    found = contrastive(anchor, positive, negatives, temperature=0.5, samples=9, allowed=allowed)
    first = contrastive(anchor[:1], positive[:1], negatives[[0, 2, 3]], temperature=0.5, samples=9)
    second = contrastive(anchor[1:], positive[1:], negatives, temperature=0.5, samples=9)
    assert found.item() == pytest.approx((first + second).item() / 2)


def contrast(samples=20, **settings):
    torch.manual_seed(0)
    pair = PlannedPair(LOGITS, LOGITS, (5,), (4,))
    return ContrastiveTerm(pair, samples=samples, dimension=8, **settings)


def compared(term, rows, seed=0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    student, teacher = (scale * torch.randn(len(rows), width, generator=generator) for width in (4, 5))
    torch.manual_seed(seed)
    return term.compare(
        Outputs(student), Outputs(teacher), Targets(torch.zeros(len(rows)), rows=torch.tensor(rows))
    )


def test_the_bank_follows_the_samples_whatever_their_place_in_the_batch():
    banks = []
    for rows in ([3, 17, 5], [17, 5, 3]):
        term = contrast(momentum=0.0)
        values = {row: torch.full((4,), float(row)) for row in rows}
        student = torch.stack([values[row] for row in rows])
        term.compare(
            Outputs(student), Outputs(torch.ones(3, 5)), Targets(torch.zeros(3), rows=torch.tensor(rows))
        )
        banks.append(term.student_bank.entries)
        wanted = F.normalize(term.student_projection(values[17]), dim=-1)
        torch.testing.assert_close(term.student_bank.entries[17], wanted)
    torch.testing.assert_close(*banks)
    untouched = [row for row in range(20) if row not in (3, 5, 17)]
    assert torch.equal(banks[0][untouched], contrast().student_bank.entries[untouched])


def test_momentum_keeps_a_part_of_the_old_entry():
    term, before = contrast(momentum=0.75), contrast().student_bank.entries
    new = F.normalize(torch.ones(1, 8), dim=-1)
    term.student_bank.update(torch.tensor([2]), new)
    torch.testing.assert_close(
        term.student_bank.entries[2:3], F.normalize(0.75 * before[2:3] + 0.25 * new, dim=-1)
    )


def test_no_constant_is_frozen_by_the_first_batch():
    fresh, used = contrast(), contrast()
    compared(used, [0, 1, 2], seed=5, scale=50.0)
    for bank in ("student_bank", "teacher_bank"):
        getattr(used, bank).load_state_dict(getattr(fresh, bank).state_dict())
    assert torch.equal(compared(fresh, [3, 4]), compared(used, [3, 4]))


@pytest.mark.parametrize(("samples", "rows"), [(2, [0, 1]), (3, [2]), (20, list(range(20)))])
@pytest.mark.parametrize("negatives", [1, 7, 65_536])
def test_negatives_are_drawn_from_any_number_of_samples(samples, rows, negatives):
    term = contrast(samples, negatives=negatives)
    for seed in range(3):
        loss = compared(term, rows, seed)
        assert math.isfinite(loss.item())
        loss.backward()
    assert all(torch.isfinite(weight.grad).all() for weight in term.parameters())


def test_banks_do_not_change_in_evaluation_and_rows_are_needed():
    term = contrast().eval()
    compared(term, [1, 2])
    assert torch.equal(term.student_bank.entries, contrast().student_bank.entries)
    with pytest.raises(ValueError, match="rows"):
        term.compare(Outputs(torch.ones(1, 4)), Outputs(torch.ones(1, 5)), Targets(torch.zeros(1)))


def test_unrelated_embeddings_are_at_the_chance_level():
    zero = torch.zeros(4, 3, dtype=torch.float64)
    found = contrastive(zero, zero, torch.zeros(6, 3, dtype=torch.float64), temperature=0.07, samples=50)
    h = 1 / (1 + 6 / 50)  # e⁰ / (e⁰ + N/M)
    assert found.item() == pytest.approx(-math.log(h) - 6 * math.log(1 - h), rel=1e-12)


def test_both_directions_without_the_samples_own_entry():
    term, rows = contrast(samples=3, negatives=3, temperature=0.5), [2, 0]
    student, teacher = torch.randn(2, 4), torch.randn(2, 5)
    torch.manual_seed(1)
    drawn = torch.randint(3, (3,)).tolist()
    assert set(drawn) & set(rows)
    g_s = F.normalize(term.student_projection(student), dim=-1)
    g_t = F.normalize(term.teacher_projection(teacher), dim=-1)
    total = 0.0
    for anchors, positives, bank in ((g_s, g_t, term.teacher_bank), (g_t, g_s, term.student_bank)):
        for row, anchor, positive in zip(rows, anchors, positives, strict=True):
            others = bank.entries[[index for index in drawn if index != row]].clone()
            total += contrastive(anchor[None], positive[None], others, temperature=0.5, samples=3).item() / 2
    torch.manual_seed(1)
    found = term.compare(Outputs(student), Outputs(teacher), Targets(torch.zeros(2), rows=torch.tensor(rows)))
    assert found.item() == pytest.approx(total, rel=1e-5)
