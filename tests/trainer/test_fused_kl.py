"""The fused losses against the plain ones on whole logits: values, gradients, chunks, masks, heads, precision, limits."""

from functools import partial

import pytest
import torch
from fused_world import (
    LABELS,
    ROWS,
    WORDS,
    gradients,
    numbers,
    plain,
    whole_logits,
    with_student,
    world,
)

from distill_api.terms import KLVariant, Term, TermType
from distill_trainer.chunks import block_rows, chunk_rows
from distill_trainer.losses import kl_divergence
from distill_trainer.losses.fused import Head, divergence_of, fused_kl
from distill_trainer.losses.fused.divergences import (
    forward,
    jensen_shannon,
    reverse,
    skewed,
    soft_targets,
)
from distill_trainer.losses.kl_divergence import jensen_shannon as plain_jensen_shannon
from distill_trainer.losses.kl_divergence import reverse_kl, skewed_kl
from distill_trainer.losses.soft_target_cross_entropy import soft_target_cross_entropy

VARIANTS = {
    "Forward": (forward, kl_divergence),
    "Reverse": (reverse, reverse_kl),
    "JensenShannon": (partial(jensen_shannon, beta=0.3), partial(plain_jensen_shannon, beta=0.3)),
    "Skewed": (partial(skewed, skew=0.2), partial(skewed_kl, skew=0.2)),
    "SoftTargets": (soft_targets, soft_target_cross_entropy),
}
every_variant = pytest.mark.parametrize(("fused", "loss"), VARIANTS.values(), ids=VARIANTS.keys())
HEADS = {
    "plain": {},
    "biases": {"biases": True},
    "scaled": {"student_does": {"scale": 0.3}, "teacher_does": {"scale": 2.0}, "biases": True},
    "capped": {
        "student_does": {"scale": 1.5, "softcap": 2.0},
        "teacher_does": {"softcap": 3.0},
        "biases": True,
    },
}
every_head = pytest.mark.parametrize("heads", HEADS.values(), ids=HEADS.keys())


def fused_on(it, temperature, **more):
    return fused_kl(it.student, it.student_head, it.teacher, it.teacher_head, temperature, **more)


@every_variant
@every_head
@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize("alpha", [None, 0.3])
def test_value_and_gradients_are_those_on_whole_logits(fused, loss, heads, temperature, alpha):
    it = world(**heads)
    labels = {} if alpha is None else {"labels": LABELS, "alpha": alpha}
    found = fused_on(it, temperature, divergence=fused, chunk=3, **labels)
    wanted = plain(loss, it, temperature, alpha or 0.0)
    torch.testing.assert_close(found.total, wanted, rtol=1e-12, atol=1e-12)
    for ours, theirs in zip(gradients(found.total, it.leaves()), gradients(wanted, it.leaves()), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@every_variant
def test_gradcheck(fused, loss):
    it = world(**HEADS["capped"])

    def total(*tensors):
        return fused_on(
            with_student(it, *tensors), 1.7, divergence=fused, labels=LABELS, alpha=0.4, chunk=4
        ).total

    assert torch.autograd.gradcheck(total, it.leaves())


def test_parts_are_what_the_total_is_made_of():
    it = world()
    found = fused_on(it, 2.0, labels=LABELS, alpha=0.25)
    torch.testing.assert_close(found.distillation, plain(kl_divergence, it, 2.0))
    torch.testing.assert_close(found.task, plain(kl_divergence, it, 2.0, alpha=1.0))
    torch.testing.assert_close(found.total, 0.25 * found.task + 0.75 * found.distillation)
    assert not found.task.requires_grad
    assert not found.distillation.requires_grad


@pytest.mark.parametrize("chunk", [1, 2, 3, 6, 7, 100, None])
def test_the_size_of_chunks_does_not_matter(chunk):
    it = world(biases=True)
    whole = fused_on(it, 1.5, labels=LABELS, alpha=0.5, chunk=ROWS).total
    found = fused_on(it, 1.5, labels=LABELS, alpha=0.5, chunk=chunk).total
    torch.testing.assert_close(found, whole, rtol=1e-13, atol=0)
    for one, other in zip(gradients(found, it.leaves()), gradients(whole, it.leaves()), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


def test_several_blocks_in_a_chunk(monkeypatch):
    monkeypatch.setattr("distill_trainer.chunks.BLOCK_ELEMENTS_CPU", 3 * WORDS)
    assert block_rows(ROWS, WORDS, "cpu") == 3
    it = world()
    found, wanted = fused_on(it, 2.0, chunk=ROWS).total, plain(kl_divergence, it, 2.0)
    torch.testing.assert_close(found, wanted)
    for one, other in zip(gradients(found, it.leaves()), gradients(wanted, it.leaves()), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    ("rows", "columns", "expected"),
    [(1024, 128256, 256), (4096, 32000, 1024), (8, 128256, 8), (0, 128256, 1), (9, 2**27, 1)],
)
def test_a_chunk_has_about_as_many_logits_whatever_the_vocabulary(rows, columns, expected):
    assert chunk_rows(rows, columns) == expected


# Rows


def test_rows_of_the_mask_alone_count_even_where_the_others_are_no_numbers():
    it = world()
    mask = torch.tensor([[True, False, True, True, True], [True, True, True, False, False]])
    hidden, taught = (
        torch.full((2, 5, width.shape[-1]), torch.nan, dtype=torch.float64)
        for width in (it.student, it.teacher)
    )
    hidden[mask], taught[mask] = it.student.detach(), it.teacher
    labels = torch.full((2, 5), -100)
    labels[mask] = LABELS
    hidden.requires_grad_()
    found = fused_kl(
        hidden, it.student_head, taught, it.teacher_head, 2.0, labels=labels, alpha=0.5, mask=mask
    )
    wanted = plain(kl_divergence, it, 2.0, alpha=0.5)
    torch.testing.assert_close(found.total, wanted)
    found.total.backward()
    torch.testing.assert_close(hidden.grad[mask], *gradients(wanted, [it.student]))
    assert hidden.grad[~mask].abs().sum() == 0


@pytest.mark.parametrize("kind", [float, torch.tensor])
def test_uneven_micro_batches_add_up_with_the_count_of_the_step(kind):
    it = world()
    whole = plain(kl_divergence, it, 2.0, alpha=0.5)
    parts = [
        fused_kl(
            it.student[cut],
            it.student_head,
            it.teacher[cut],
            it.teacher_head,
            2.0,
            labels=LABELS[cut],
            alpha=0.5,
            count=kind(ROWS),
        ).total
        for cut in (slice(0, 1), slice(1, ROWS))
    ]
    torch.testing.assert_close(sum(parts), whole)
    for one, other in zip(gradients(sum(parts), it.leaves()), gradients(whole, it.leaves()), strict=True):
        torch.testing.assert_close(one, other)


def test_no_row_at_all_is_zero_with_zero_gradients():
    it = world(biases=True)
    nothing = torch.zeros(ROWS, dtype=torch.bool)
    found = fused_on(it, 1.0, mask=nothing).total
    assert found.item() == 0
    assert all((gradient == 0).all() for gradient in gradients(found, it.leaves()))


# Heads


@pytest.mark.parametrize("padding", [-20.0, 0.0, 7.0, 20.0])
def test_padded_heads_compare_the_real_words_alone(padding):
    # z_t = [1, 0, −1, padding, padding], z_s = [0, 0, 0, 5]; heads of width 1 and a hidden state of 1 make them.
    teacher = torch.tensor([[1.0], [0.0], [-1.0], [padding], [padding]], dtype=torch.float64)
    student = torch.tensor([[0.0], [0.0], [0.0], [5.0]], dtype=torch.float64, requires_grad=True)
    one = torch.ones(1, 1, dtype=torch.float64)
    found = fused_kl(one, Head(student), one, Head(teacher), 1.0, columns=3).total
    found.backward()
    assert found.item() == pytest.approx(0.266217, abs=1e-6)
    assert student.grad[3].item() == 0
    assert student.grad[:3].abs().sum() > 0.1


def test_heads_padded_to_different_widths():
    it = world(biases=True, student_padding=2, teacher_padding=5)
    found = fused_on(it, 2.0, labels=LABELS, alpha=0.3, columns=WORDS).total
    wanted = plain(kl_divergence, it, 2.0, alpha=0.3)
    torch.testing.assert_close(found, wanted)
    for one, other in zip(gradients(found, it.leaves()), gradients(wanted, it.leaves()), strict=True):
        torch.testing.assert_close(one, other)


def test_different_widths_are_named_and_so_is_a_head_too_narrow():
    it = world(student_padding=2, teacher_padding=5)
    with pytest.raises(
        ValueError, match="student's head 13 and the teacher's head 16 columns: say with `columns`"
    ):
        fused_on(it, 1.0)
    with pytest.raises(ValueError, match="student's head has 13 columns, fewer than the 14 words"):
        fused_on(it, 1.0, columns=14)


def test_other_disagreements_are_named():
    it = world()
    with pytest.raises(ValueError, match="the student has 7 rows and the teacher 6"):
        fused_kl(it.student, it.student_head, it.teacher[1:], it.teacher_head, 1.0)
    with pytest.raises(ValueError, match="the student has 7 rows and the labels 5"):
        fused_on(it, 1.0, labels=LABELS[2:])
    with pytest.raises(ValueError, match=r"alpha is 0\.5 and there are no labels"):
        fused_on(it, 1.0, alpha=0.5)
    with pytest.raises(ValueError, match="use Forward or Reverse"):
        fused_on(it, 1.0, divergence=partial(jensen_shannon, beta=1.0))


# Limits


@pytest.mark.parametrize("name", ["Forward", "Reverse", "JensenShannon", "Skewed"])
def test_zero_with_zero_gradient_at_the_teachers_logits(name):
    it = world()
    head = Head(it.teacher_head.weight.clone().requires_grad_())
    hidden = it.teacher.clone().requires_grad_()
    found = fused_kl(hidden, head, it.teacher, it.teacher_head, 2.0, divergence=VARIANTS[name][0]).total
    found.backward()
    assert found.item() == pytest.approx(0, abs=1e-14)
    assert hidden.grad.abs().max().item() == pytest.approx(0, abs=1e-14)
    assert head.weight.grad.abs().max().item() == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize(
    ("name", "factor"), [("Forward", 1), ("Reverse", 1), ("JensenShannon", 0.3 * 0.7), ("Skewed", 0.8**2)]
)
def test_limit_of_great_temperature(name, factor):
    it = world()
    z_s, z_t = (z - z.mean(-1, keepdim=True) for z in it.logits())
    quarter = (z_s - z_t).square().sum(-1).mean() / (2 * WORDS)
    found = fused_on(it, 1e4, divergence=VARIANTS[name][0]).total
    assert found.item() == pytest.approx(factor * quarter.item(), rel=1e-3)


@every_variant
def test_small_temperature_stays_finite(fused, loss):
    it = world(torch.float32, size=4)
    found = fused_on(it, 0.01, divergence=fused).total
    assert torch.isfinite(found)
    assert all(torch.isfinite(gradient).all() for gradient in gradients(found, it.leaves()))
    exact = plain(loss, world(size=4), 0.01)
    assert found.item() == pytest.approx(exact.item(), rel=1e-4)


def test_a_small_divergence_keeps_its_digits_in_32_bits():
    it = world(torch.float32)
    nearly = Head(it.teacher_head.weight + 1e-3 * numbers(9, WORDS, it.teacher.shape[-1]).float())
    found = fused_kl(it.teacher, nearly, it.teacher, it.teacher_head, 1.0).total
    exact = kl_divergence(
        *(
            whole_logits(it.teacher.double(), Head(head.weight.double()))
            for head in (nearly, it.teacher_head)
        ),
        1.0,
    )
    assert 1e-6 < exact.item() < 2e-6
    assert found.item() == pytest.approx(exact.item(), abs=1e-7)


# Variants by their names in the API


@pytest.mark.parametrize(
    ("term", "loss"),
    [
        ({}, kl_divergence),
        ({"variant": KLVariant.REVERSE}, reverse_kl),
        ({"variant": KLVariant.JENSEN_SHANNON}, plain_jensen_shannon),
        ({"variant": KLVariant.JENSEN_SHANNON, "beta": 0.2}, partial(plain_jensen_shannon, beta=0.2)),
        ({"variant": KLVariant.SKEWED, "skew": 0.4}, partial(skewed_kl, skew=0.4)),
    ],
)
def test_the_terms_own_fields_reach_the_divergence(term, loss):
    it = world()
    named = divergence_of(Term(type=TermType.KL_DIVERGENCE, **term))
    torch.testing.assert_close(fused_on(it, 2.0, divergence=named).total, plain(loss, it, 2.0))
