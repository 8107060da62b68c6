"""How the fused losses behave among other PyTorch code: who wants gradients, second uses, precision, tied heads."""

from dataclasses import replace

import pytest
import torch
from fused_world import LABELS, gradients, plain, world

from distill_trainer.losses import kl_divergence
from distill_trainer.losses.fused import Head, fused_kl


def total_of(it, temperature=2.0, **more):
    return fused_kl(
        it.student,
        it.student_head,
        it.teacher,
        it.teacher_head,
        temperature,
        labels=LABELS,
        alpha=0.3,
        **more,
    ).total


@pytest.mark.parametrize("trained", ["hidden states", "weight", "bias"])
def test_one_alone_may_want_a_gradient(trained):
    it = world(biases=True)
    wanted = dict(
        zip(
            ("hidden states", "weight", "bias"),
            gradients(plain(kl_divergence, it, 2.0, 0.3), it.leaves()),
            strict=True,
        )
    )[trained]
    head = it.student_head.detached()
    if trained == "hidden states":
        it = replace(it, student_head=head)
    else:
        field = "weight" if trained == "weight" else "bias"
        it = replace(
            it,
            student=it.student.detach(),
            student_head=replace(head, **{field: getattr(head, field).clone().requires_grad_()}),
        )
    (found,) = gradients(total_of(it), it.leaves())
    torch.testing.assert_close(found, wanted)


def test_without_gradients_there_is_the_value_alone():
    it = world()
    with torch.no_grad():
        found = total_of(it)
    assert not found.requires_grad
    torch.testing.assert_close(found, plain(kl_divergence, it, 2.0, 0.3))


def test_the_teacher_gets_no_gradient():
    it = world()
    taught = it.teacher.clone().requires_grad_()
    weight = it.teacher_head.weight.clone().requires_grad_()
    total_of(replace(it, teacher=taught, teacher_head=Head(weight))).backward()
    assert taught.grad is None
    assert weight.grad is None


def test_what_comes_after_the_loss_reaches_the_gradients():
    it = world(biases=True)
    for found, once in zip(
        gradients(3 * total_of(it) + 1, it.leaves()), gradients(total_of(it), it.leaves()), strict=True
    ):
        torch.testing.assert_close(found, 3 * once)


def test_it_may_be_used_twice_in_one_graph():
    it = world()
    twice = total_of(it, 1.0) + total_of(it, 4.0)
    wanted = plain(kl_divergence, it, 1.0, 0.3) + plain(kl_divergence, it, 4.0, 0.3)
    for found, other in zip(gradients(twice, it.leaves()), gradients(wanted, it.leaves()), strict=True):
        torch.testing.assert_close(found, other)


def test_gradients_add_up_and_a_kept_graph_gives_the_same_again():
    it = world()
    total = total_of(it)
    total.backward(retain_graph=True)
    first = [leaf.grad.clone() for leaf in it.leaves()]
    total.backward()
    for leaf, once in zip(it.leaves(), first, strict=True):
        torch.testing.assert_close(leaf.grad, 2 * once)
    with pytest.raises(RuntimeError, match="second time"):
        total.backward()


def test_a_second_derivative_is_refused():
    it = world()
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(total_of(it), it.student, create_graph=True)


def test_a_tied_head_gets_both_gradients():
    words = torch.randn(11, 3, dtype=torch.float64, requires_grad=True)
    it = world()

    def loss(fused):
        hidden = torch.tanh(words[LABELS])
        tied = replace(it, student=hidden, student_head=Head(words))
        return total_of(tied) if fused else plain(kl_divergence, tied, 2.0, 0.3)

    torch.testing.assert_close(*(gradients(loss(fused), [words])[0] for fused in (True, False)))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_is_computed_in_32_bits(dtype):
    it = world(dtype, biases=True, size=2)
    exact = world(torch.float64, biases=True, size=2)
    total = total_of(it, chunk=2)
    assert total.dtype is torch.float32
    # Only the logits themselves are rounded, to 8 and 11 bits.
    assert total.item() == pytest.approx(plain(kl_divergence, exact, 2.0, 0.3).item(), rel=2e-2)
    for found, wanted in zip(
        gradients(total, it.leaves()),
        gradients(plain(kl_divergence, exact, 2.0, 0.3), exact.leaves()),
        strict=True,
    ):
        assert found.dtype is dtype
        torch.testing.assert_close(found.double(), wanted, rtol=0.1, atol=0.02 * wanted.abs().max().item())


def test_the_sum_over_many_chunks_does_not_stall_in_16_bits():
    """1024 chunks that each add the same to the head's gradient: summed up in bfloat16 it would stop at 1/4 of it."""
    hidden = torch.ones(1024, 1, dtype=torch.bfloat16)
    weight = torch.tensor([[0.0], [1.0]], dtype=torch.bfloat16, requires_grad=True)
    teacher = Head(torch.tensor([[1.0], [0.0]], dtype=torch.bfloat16))
    fused_kl(hidden, Head(weight), hidden, teacher, 1.0, chunk=1).total.backward()
    each = torch.tensor(1.0).sigmoid() - torch.tensor(0.0).add(-1.0).sigmoid()
    torch.testing.assert_close(weight.grad.float(), torch.stack([-each, each])[:, None], rtol=1e-2, atol=0)


def test_autocast_computes_as_a_linear_layer_would():
    it = world(torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        total = total_of(it)
    assert total.dtype is torch.float32
    rounded = world(torch.bfloat16)
    torch.testing.assert_close(total, total_of(rounded))
    for found, wanted in zip(
        gradients(total, it.leaves()), gradients(total_of(rounded), rounded.leaves()), strict=True
    ):
        assert found.dtype is torch.float32
        torch.testing.assert_close(found, wanted.float())
