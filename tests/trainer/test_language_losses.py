"""Losses of language models by hand: heads of unequal width, padding, parts of a batch, caps inside the model."""

import pytest
import torch
import torch.nn.functional as F
from language_world import BigramTable
from transformers import AutoModelForCausalLM, CohereConfig, Gemma2Config

from distill_trainer.batch import Batch
from distill_trainer.language.content import collated
from distill_trainer.layers import watch
from distill_trainer.losses import Outputs, Targets, cross_entropy, kl_divergence, kl_objective
from distill_trainer.models.text_network import TextNetwork
from distill_trainer.teacher_outputs import Online
from distill_trainer.teacher_outputs.cached import in_place
from distill_trainer.teacher_outputs.encodings import Dense

REAL = 120


def tables(beyond: float):
    """A teacher of 160 columns whose last 40 have one value, and a student of 128."""
    draw = torch.Generator().manual_seed(0)
    teacher, student = torch.randn(160, 160, generator=draw), torch.randn(128, 128, generator=draw)
    teacher[:, REAL:] = beyond
    return TextNetwork(BigramTable(teacher), columns=REAL), TextNetwork(BigramTable(student), columns=REAL)


def read(*documents, trained=None):
    """Token ids of each document as a batch; all but the first count, or the last `trained` of each."""
    rows = []
    for place, ids in enumerate(documents):
        count = len(ids) - 1 if trained is None else trained[place]
        mask = [at >= len(ids) - count for at in range(len(ids))]
        rows.append((torch.tensor(ids, dtype=torch.int32).numpy(), torch.tensor(mask).numpy()))
    return collated(rows)


@pytest.mark.parametrize("beyond", [-20.0, 0.0, 20.0])
def test_columns_that_no_token_has_change_nothing(beyond):
    teacher, student = tables(beyond)
    samples = read([3, 5, 7, 119], [2, 8])
    loss = kl_divergence(student(samples.inputs), teacher(samples.inputs), 1.0, mask=samples.mask)
    rows = torch.tensor([3, 5, 7, 2])
    log_p = F.log_softmax(teacher.model.table[rows, :REAL].double(), dim=-1)
    log_q = F.log_softmax(student.model.table[rows, :REAL].double(), dim=-1)
    assert loss.item() == pytest.approx((log_p.exp() * (log_p - log_q)).sum(-1).mean().item(), abs=1e-6)


def test_the_loss_over_the_real_tokens_by_hand():
    teacher = TextNetwork(BigramTable(torch.tensor([[1.0, 0.0, -1.0, 7.0, 7.0]])), columns=3)
    student = TextNetwork(BigramTable(torch.tensor([[0.0, 0.0, 0.0, 5.0]])), columns=3)
    inputs = {"input_ids": torch.zeros(1, 1, dtype=torch.int64)}
    assert kl_divergence(student(inputs), teacher(inputs), 1.0).item() == pytest.approx(0.266217, abs=1e-6)


def test_heads_of_unequal_width_give_the_same_loss_cached_and_online():
    teacher, student = tables(20.0)
    samples = read([3, 5, 7, 119], [2, 8])
    batch = Batch(["a", "b"], torch.arange(2), samples.inputs, samples.labels, samples.mask)
    online = Online(teacher).outputs(batch).logits
    stored = in_place(Dense().decode({"logits": online[samples.mask]}), batch)
    losses = [
        kl_divergence(student(samples.inputs), said, 1.0, mask=samples.mask) for said in (online, stored)
    ]
    assert losses[0].item() == pytest.approx(losses[1].item(), abs=1e-7)


def test_a_step_of_plain_descent_is_minus_the_gradient_by_hand():
    """The table's row v moves by the mean over rows of α(y − q) + (1−α)·T(p − q), at the places where v is the input."""
    teacher, student = tables(0.0)
    samples = read([3, 5, 3, 9])
    alpha, temperature = 0.3, 2.0
    before = student.model.table.detach().clone()
    loss = kl_objective(alpha, temperature)(
        Outputs(student(samples.inputs)),
        Outputs(teacher(samples.inputs)),
        Targets(samples.labels, mask=samples.mask),
    ).total
    optimizer = torch.optim.SGD(student.parameters(), lr=1.0)
    loss.backward()
    optimizer.step()
    expected = before.clone()
    for token, label in ((3, 5), (5, 3), (3, 9)):
        p = (teacher.model.table[token, :REAL] / temperature).softmax(-1).detach()
        soft, q = (before[token, :REAL] / temperature).softmax(-1), before[token, :REAL].softmax(-1)
        hard = F.one_hot(torch.tensor(label), REAL) - q
        expected[token, :REAL] += (alpha * hard + (1 - alpha) * temperature * (p - soft)) / 3
    assert torch.allclose(student.model.table.detach(), expected, atol=1e-6)


def one_and_nine():
    """Two samples with answers of one token and of nine."""
    return [0, 4, 7], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], (1, 9)


def gradient_of(parts, count):
    teacher, student = tables(0.0)
    total = 0.0
    for samples in parts:
        loss = kl_objective(0.3, 2.0)(
            Outputs(student(samples.inputs)),
            Outputs(teacher(samples.inputs)),
            Targets(samples.labels, mask=samples.mask, count=count),
        )
        loss.total.backward()
        total += loss.detached().stacked()
    return student.model.table.grad, total


def test_one_token_here_and_nine_there_weigh_the_same_each():
    short, long, trained = one_and_nine()
    whole, losses = gradient_of([read(short, long, trained=trained)], None)
    parts, summed = gradient_of([read(short, trained=trained[:1]), read(long, trained=trained[1:])], 10)
    assert torch.allclose(whole, parts, atol=1e-6)
    assert losses.tolist() == pytest.approx(summed.tolist(), abs=1e-6)


def test_the_printed_loss_is_the_mean_over_tokens():
    """Per-token losses of 2.0 and 0.5 make 0.65; 1.25 is the mean of means and 1.30 the sum."""
    table = torch.zeros(2, 2)
    table[0] = torch.tensor([0.0, torch.tensor(2.0).exp().sub(1).log()])  # −log softmax at 0 is 2
    table[1] = torch.tensor([0.0, torch.tensor(0.5).exp().sub(1).log()])
    network = TextNetwork(BigramTable(table))
    samples = read([0, 0], [1, *[0] * 9], trained=(1, 9))
    samples.inputs["input_ids"][1] = 1
    loss = cross_entropy(network(samples.inputs), samples.labels, mask=samples.mask)
    assert loss.item() == pytest.approx(0.65, abs=1e-6)


def small(kind, **changes):
    torch.manual_seed(0)
    sizes = {"vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    more = {"num_key_value_heads": 2, "intermediate_size": 32, "max_position_embeddings": 64}
    ends = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    return AutoModelForCausalLM.from_config(kind(**{**sizes, **more, **ends, **changes})).eval()


def logits_and_head(model):
    inputs = {"input_ids": torch.arange(8)[None]}
    network = TextNetwork(model, columns=64, use_cache=False)
    with torch.no_grad(), watch(network, ["model.lm_head"]) as seen:
        return network(inputs), seen["model.lm_head"]


def test_a_cap_of_the_logits_is_inside_what_the_losses_see():
    logits, head = logits_and_head(small(Gemma2Config, head_dim=8, final_logit_softcapping=0.5))
    assert torch.allclose(logits, 0.5 * torch.tanh(head / 0.5), atol=1e-6)
    assert not torch.allclose(logits, head, atol=1e-3)


def test_a_scale_of_the_logits_is_inside_what_the_losses_see():
    logits, head = logits_and_head(small(CohereConfig, logit_scale=0.25))
    assert torch.allclose(logits, 0.25 * head, atol=1e-6)
    assert head.abs().max() > 0
