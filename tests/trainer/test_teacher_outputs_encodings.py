"""Encodings: what comes back, how exact, how many bytes, and that draws are unbiased."""

import pytest
import torch
from torch import nn

from distill_trainer.losses.kl_divergence import kl_divergence, kl_rows
from distill_trainer.teacher_outputs.encodings import Dense, Head, HiddenState, Rows, Sampled, TopK
from distill_trainer.teacher_outputs.encodings.classes import class_bytes, packed, unpacked
from distill_trainer.teacher_outputs.encodings.encoding import BLOCK_ELEMENTS
from distill_trainer.teacher_outputs.encodings.sampled import stratified, uniforms
from distill_trainer.teacher_outputs.fidelity import kl_error


def rows(logits, hidden=None):
    return Rows(logits, torch.arange(len(logits)), hidden)


def row_bytes(stored):
    return sum(tensor.nbytes / len(tensor) for tensor in stored.values())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dense_is_exact_in_the_teacher_s_own_type(dtype):
    logits = torch.randn(7, 10).to(dtype)
    stored = Dense().encode(rows(logits))
    assert torch.equal(Dense().decode(stored), logits)
    assert row_bytes(stored) == 10 * logits.element_size()
    assert kl_error(logits, Dense().decode(stored), 4.0) == 0


@pytest.mark.parametrize("bias", [True, False])
def test_hidden_states_make_the_same_logits_again(bias):
    layer = nn.Linear(6, 1000, bias=bias)
    hidden = torch.randn(5, 6)
    logits = layer(hidden).detach()
    encoding = HiddenState(Head(layer.weight.detach(), layer.bias.detach() if bias else None))
    stored = encoding.encode(rows(logits, hidden))
    torch.testing.assert_close(encoding.decode(stored), logits, rtol=1e-6, atol=1e-6)
    assert row_bytes(stored) == 24
    with pytest.raises(ValueError, match="no hidden states"):
        encoding.encode(rows(logits))


@pytest.mark.parametrize("classes", [10, 2**16, 2**16 + 1, 128_256])
def test_classes_in_two_or_three_bytes(classes):
    indices = torch.tensor(
        [[0, 1, classes - 1], [classes // 2, min(classes - 1, 32_768), min(classes - 1, 65_535)]]
    )
    stored = packed(indices, classes)
    assert torch.equal(unpacked(stored), indices)
    assert row_bytes(stored) == 3 * class_bytes(classes) == 3 * (2 if classes <= 65_536 else 3)


def test_top_k_keeps_the_likeliest_and_the_mass_of_the_rest_at_each_temperature():
    torch.manual_seed(0)
    logits = 5 * torch.randn(40, 300)
    encoding = TopK(8, (1.0, 4.0))
    stored = encoding.encode(rows(logits))
    assert row_bytes(stored) == 8 * 4 + 2 * 4
    decoded = encoding.decode(stored)
    assert torch.equal(decoded.indices, logits.topk(8).indices)
    for temperature in (1.0, 4.0):
        p = (logits / temperature).softmax(-1)
        known = p.gather(-1, decoded.indices)
        # a 16-bit logarithm ℓ is wrong by at most |ℓ|·2⁻¹¹, and so is a probability by that share
        bound = float(logits.log_softmax(-1).topk(8).values.abs().max()) * 2**-11 / temperature * 2
        got = decoded.softened(temperature).exp()
        torch.testing.assert_close(got[:, :-1], known, rtol=bound, atol=1e-7)
        torch.testing.assert_close(got[:, -1], 1 - known.sum(-1), rtol=bound, atol=1e-6)
        torch.testing.assert_close(got.sum(-1), torch.ones(40))


def test_rows_are_worked_on_in_blocks_and_come_out_the_same(monkeypatch):
    logits = torch.randn(50, 20)
    for encoding in (TopK(3, (1.0,)), Sampled(3, 1.0)):
        whole = encoding.encode(rows(logits))
        monkeypatch.setattr("distill_trainer.teacher_outputs.encodings.encoding.BLOCK_ELEMENTS", 60)
        parts = encoding.encode(rows(logits))
        monkeypatch.setattr(
            "distill_trainer.teacher_outputs.encodings.encoding.BLOCK_ELEMENTS", BLOCK_ELEMENTS
        )
        assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_uniform_numbers_follow_from_their_seed_alone():
    seeds = torch.tensor([5, -3, 2**62, 5])
    u = uniforms(seeds, 1000)
    assert torch.equal(u[0], u[3])
    assert torch.equal(uniforms(seeds[1:2], 1000)[0], u[1])
    assert u.min() >= 0
    assert u.max() < 1
    many = uniforms(torch.arange(2000), 50)
    # mean 1/2 with deviation 1/√(12n); neighbours in a row and in a column know nothing of each other
    n = many.numel()
    assert abs(many.mean() - 0.5) < 5 / (12 * n) ** 0.5
    for one, other in ((many[:, :-1], many[:, 1:]), (many[:-1], many[1:])):
        correlation = torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1]
        assert abs(correlation) < 5 / n**0.5


def test_draws_are_unbiased_exactly():
    """Each stratum of the mass is walked through by a fine grid instead of by chance: K·p of each class remain."""
    p = torch.tensor([[0.5, 0.0, 0.26, 0.17, 0.07]], dtype=torch.float64)
    k, grid = 3, 10_000
    u = ((torch.arange(grid) + 0.5) / grid)[:, None].expand(grid, k)
    drawn = stratified(p.expand(grid, 5), u)
    share = torch.bincount(drawn.flatten(), minlength=5) / (grid * k)
    torch.testing.assert_close(share.double(), p[0], rtol=0, atol=2 / grid)
    assert share[1] == 0


def test_draws_estimate_the_loss_and_its_gradient_without_bias():
    torch.manual_seed(0)
    z_t, z_s = torch.randn(12, dtype=torch.float64), torch.randn(12, dtype=torch.float64)
    n, k, temperature = 20_000, 5, 2.0
    teacher = z_t.expand(n, 12)
    encoding = Sampled(k, temperature)
    decoded = encoding.decode(encoding.encode(rows(teacher)))
    student = z_s.expand(n, 12).clone().requires_grad_()
    values = kl_rows(student, decoded, temperature)
    true = kl_rows(z_s[None], z_t[None], temperature).item()
    p, q = (z_t / temperature).softmax(-1), (z_s / temperature).softmax(-1)
    mean = (p * q.log()).sum()
    deviation = (((p * (q.log() - mean) ** 2).sum()) / k).sqrt()  # of independent draws
    assert abs(values.mean().item() - true) < 5 * deviation / n**0.5
    assert values.std() <= deviation * 1.02  # stratified: no worse
    loss = kl_divergence(student, decoded, temperature)
    (gradient,) = torch.autograd.grad(loss, student)
    expected = temperature * (q - p)
    error = temperature * (p * (1 - p) / (k * n)).sqrt()
    assert ((gradient.sum(0) - expected).abs() < 5 * error + 1e-12).all()


def test_draws_of_a_row_do_not_depend_on_the_rows_beside_it():
    torch.manual_seed(0)
    logits, seeds = torch.randn(6, 40), torch.tensor([9, 8, 7, 6, 5, 4])
    together = Sampled(4, 1.0).encode(Rows(logits, seeds))
    alone = Sampled(4, 1.0).encode(Rows(logits[2:3], seeds[2:3]))
    assert torch.equal(together["classes"][2:3], alone["classes"])
    assert row_bytes(alone) == 4 * 2 + 4


def test_fidelity_is_worse_the_less_is_kept():
    torch.manual_seed(0)
    logits = 3 * torch.randn(64, 500)
    errors = []
    for k in (4, 32, 256):
        encoding = TopK(k, (1.0,))
        errors.append(kl_error(logits, encoding.decode(encoding.encode(rows(logits))), 1.0))
    assert errors[0] > errors[1] > errors[2] > 0
    # a student that knows nothing: the loss that is missing is that within the tail, p_tail · KL(tail ‖ uniform)
    p = logits.softmax(-1)
    known = p.topk(4)
    tail = p.scatter(-1, known.indices, 0.0)
    mass = tail.sum(-1)
    within = torch.xlogy(tail, tail / mass[:, None]).sum(-1) + mass * torch.tensor(496.0).log()
    assert errors[0] == pytest.approx(within.mean().item(), rel=1e-2)
