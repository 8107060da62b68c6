"""What the networks compute in, and what stays in 32 bits all the same."""

import torch
from torch import nn

from distill_api.training import Precision, Training
from distill_trainer.batch import Batch
from distill_trainer.losses import Outputs, Targets, kl_objective
from distill_trainer.step import Example, make_optimizer, train_step
from distill_trainer.teacher_outputs import Online


class Watched(nn.Module):
    """A linear layer that says what it computed in."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.seen = None

    def forward(self, rows):
        logits = self.layer(rows)
        self.seen = logits.dtype
        return logits


def one_step(precision):
    torch.manual_seed(0)
    network, rows = Watched(), torch.randn(8, 4)
    optimizer = make_optimizer(network, Training(optimizer="SGD", learning_rate=0.1))
    targets = Targets(torch.arange(8) % 3, count=8.0)
    example = Example(rows, Outputs(torch.randn(8, 3)), targets)
    losses = train_step(
        network, optimizer, kl_objective(0.3, 2.0), [example], rate=0.1, clip=None, precision=precision
    )
    return network, losses


def test_a_teacher_beside_the_student_computes_as_it_does():
    for precision, expected in ((Precision.FP32, torch.float32), (Precision.BF16, torch.bfloat16)):
        teacher = Watched()
        batch = Batch(
            ["a"], torch.zeros(1, dtype=torch.long), torch.randn(1, 4), torch.zeros(1, dtype=torch.long)
        )
        said = Online(teacher, ["layer"], precision=precision).outputs(batch)
        assert teacher.seen is said.logits.dtype is expected
        assert teacher.layer.weight.dtype is torch.float32


def test_bf16_is_of_the_passes_alone():
    exact, expected = one_step(Precision.FP32)
    rounded, losses = one_step(Precision.BF16)
    assert (exact.seen, rounded.seen) == (torch.float32, torch.bfloat16)
    assert losses.total.dtype is rounded.layer.weight.dtype is torch.float32
    assert rounded.layer.weight.grad.dtype is torch.float32
    # A product of four numbers that are rounded to 8 bits is off by a few parts in 2⁸.
    torch.testing.assert_close(losses.total, expected.total, rtol=2**-6, atol=0)
    assert losses.total != expected.total
