"""The fused losses without a teacher at hand: a stored top-k of it, and labels alone."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from fused_world import LABELS, ROWS, WORDS, gradients, whole_logits, with_student, world

from distill_trainer.losses import cross_entropy, kl_divergence
from distill_trainer.losses.fused import Head, chunked_cross_entropy, fused_topk_kl
from distill_trainer.losses.fused.divergences import forward, jensen_shannon, reverse, skewed
from distill_trainer.losses.kl_divergence import jensen_shannon as plain_jensen_shannon
from distill_trainer.losses.kl_divergence import reverse_kl, skewed_kl
from distill_trainer.losses.sparse import TopKTeacher

K = 4
VARIANTS = {
    "Forward": (forward, kl_divergence),
    "Reverse": (reverse, reverse_kl),
    "JensenShannon": (partial(jensen_shannon, beta=0.3), partial(plain_jensen_shannon, beta=0.3)),
    "Skewed": (partial(skewed, skew=0.2), partial(skewed_kl, skew=0.2)),
}


def stored(logits, k, *temperatures):
    """The k most likely words of the teacher and its tail at each temperature."""
    log_p = logits.log_softmax(-1)
    top = log_p.topk(k)
    others = log_p.scatter(-1, top.indices, -torch.inf)
    return TopKTeacher(top.indices, top.values, {t: (others / t).logsumexp(-1) for t in temperatures})


def teacher_of(it, *temperatures, k=K, words=WORDS):
    return stored(whole_logits(it.teacher, it.teacher_head)[:, :words], k, *temperatures)


@pytest.mark.parametrize(("fused", "loss"), VARIANTS.values(), ids=VARIANTS.keys())
@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize("alpha", [None, 0.3])
@pytest.mark.parametrize("cap", [None, 2.0])
def test_value_and_gradients_are_those_on_whole_logits(fused, loss, temperature, alpha, cap):
    it = world(biases=True, student_padding=3, student_does={"scale": 1.5, "softcap": cap})
    known = teacher_of(it, temperature)
    labels = {} if alpha is None else {"labels": LABELS, "alpha": alpha}
    found = fused_topk_kl(
        it.student, it.student_head, known, temperature, divergence=fused, columns=WORDS, chunk=3, **labels
    )
    z = whole_logits(it.student, it.student_head)[:, :WORDS]
    share = alpha or 0.0
    wanted = share * cross_entropy(z, LABELS) + (1 - share) * loss(z, known, temperature)
    torch.testing.assert_close(found.total, wanted, rtol=1e-12, atol=1e-12)
    for ours, theirs in zip(gradients(found.total, it.leaves()), gradients(wanted, it.leaves()), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("fused", [fused for fused, _ in VARIANTS.values()], ids=VARIANTS.keys())
def test_gradcheck(fused):
    it = world(biases=True)
    known = teacher_of(it, 1.7)

    def total(*tensors):
        there = with_student(it, *tensors)
        return fused_topk_kl(
            there.student,
            there.student_head,
            known,
            1.7,
            divergence=fused,
            labels=LABELS,
            alpha=0.4,
            chunk=4,
        ).total

    assert torch.autograd.gradcheck(total, it.leaves())


def test_all_words_but_one_known_is_the_whole_divergence():
    it = world()
    found = fused_topk_kl(it.student, it.student_head, teacher_of(it, 2.0, k=WORDS - 1), 2.0).total
    torch.testing.assert_close(found, kl_divergence(*it.logits(), 2.0))


def test_a_student_surer_than_float32_can_say_keeps_finite_gradients():
    """As for whole logits: 1 − Σ q of the known words is 0 here, so the tail has to come from its own logits."""
    logits = torch.tensor([[60.0], [0.0], [-5.0], [-5.0]], requires_grad=True)
    known = stored(torch.tensor([[0.5, 0.25, 0.15, 0.10]]).log(), 2, 1.0)
    one = torch.ones(1, 1)
    fused_topk_kl(one, Head(logits), known, 1.0).total.backward()
    torch.testing.assert_close(logits.grad.T, torch.tensor([[0.5, -0.25, -0.125, -0.125]]))


def test_the_size_of_chunks_does_not_matter():
    it = world()
    known = teacher_of(it, 1.0)

    def total(chunk):
        return fused_topk_kl(
            it.student, it.student_head, known, 1.0, labels=LABELS, alpha=0.5, chunk=chunk
        ).total

    whole = total(ROWS)
    once = gradients(whole, it.leaves())
    for chunk in (1, 2, 5, None):
        found = total(chunk)
        torch.testing.assert_close(found, whole, rtol=1e-13, atol=0)
        for one, other in zip(gradients(found, it.leaves()), once, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


def test_the_teacher_has_the_rows_of_the_mask_alone():
    it = world()
    mask = torch.tensor([True, False, True, True, False, True, True])
    known = stored(whole_logits(it.teacher[mask], it.teacher_head), K, 1.0)
    found = fused_topk_kl(it.student, it.student_head, known, 1.0, mask=mask, count=10).total
    wanted = kl_divergence(whole_logits(it.student[mask], it.student_head), known, 1.0, count=10)
    torch.testing.assert_close(found, wanted)
    with pytest.raises(ValueError, match="the student has 7 rows and the teacher 5"):
        fused_topk_kl(it.student, it.student_head, known, 1.0)


def test_what_is_not_stored_is_not_made_up():
    it = world()
    with pytest.raises(KeyError):
        fused_topk_kl(it.student, it.student_head, teacher_of(it, 1.0), 2.0)
    with pytest.raises(ValueError, match="4 words of the teacher leave no other of 4"):
        fused_topk_kl(it.student, it.student_head, teacher_of(it, 1.0), 1.0, columns=4)


def test_bfloat16_is_computed_in_32_bits():
    it = world(torch.bfloat16)
    known = teacher_of(world(torch.float32), 2.0)
    found = fused_topk_kl(it.student, it.student_head, known, 2.0, labels=LABELS, alpha=0.3).total
    z = whole_logits(it.student.double(), Head(it.student_head.weight.double()))
    wanted = 0.3 * cross_entropy(z, LABELS) + 0.7 * kl_divergence(z, known, 2.0)
    assert found.dtype is torch.float32
    assert found.item() == pytest.approx(wanted.item(), rel=2e-2)
    assert all(gradient.dtype is torch.bfloat16 for gradient in gradients(found, it.leaves()))


@pytest.mark.parametrize("chunk", [1, 3, None])
def test_chunked_cross_entropy(chunk):
    it = world(biases=True, student_padding=2, student_does={"softcap": 1.5})
    found = chunked_cross_entropy(it.student, it.student_head, LABELS, columns=WORDS, chunk=chunk)
    wanted = cross_entropy(whole_logits(it.student, it.student_head)[:, :WORDS], LABELS)
    torch.testing.assert_close(found.total, wanted)
    torch.testing.assert_close(found.task, wanted)
    assert found.terms == ()
    for one, other in zip(gradients(found.total, it.leaves()), gradients(wanted, it.leaves()), strict=True):
        torch.testing.assert_close(one, other)


def test_cross_entropy_of_the_mask_alone():
    it = world()
    mask = torch.tensor([True, False, True, True, False, True, True])
    labels = LABELS.where(mask, -100)
    found = chunked_cross_entropy(it.student, it.student_head, labels, mask=mask, count=9).total
    wanted = cross_entropy(whole_logits(it.student, it.student_head), labels, mask=mask, count=9)
    torch.testing.assert_close(found, wanted)


def test_cross_entropy_under_gradcheck():
    it = world()
    assert torch.autograd.gradcheck(
        lambda hidden, weight: (
            chunked_cross_entropy(hidden, replace(it.student_head, weight=weight), LABELS, chunk=2).total
        ),
        it.leaves(),
    )
