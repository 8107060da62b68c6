"""What is a pure function of step, seed and epoch."""

import pytest
import torch

from distill_api.training import LearningRateSchedule, Optimizer, Training
from distill_trainer.order import Batches, batch_count, epoch_batches
from distill_trainer.schedule import learning_rate
from distill_trainer.step import make_optimizer


def rates(schedule, total=100, warmup=0.1):
    training = Training(learning_rate=0.5, schedule=schedule, warmup_ratio=warmup)
    return [learning_rate(step, total, training) for step in range(total)]


@pytest.mark.parametrize("schedule", LearningRateSchedule)
def test_rate_rises_linearly_to_its_peak_and_never_beyond(schedule):
    values = rates(schedule)
    assert values[:10] == pytest.approx([0.05 * step for step in range(1, 11)])
    assert max(values) == pytest.approx(0.5)


def test_rate_after_the_warmup():
    assert rates(LearningRateSchedule.CONSTANT)[10:] == pytest.approx([0.5] * 90)
    assert rates(LearningRateSchedule.LINEAR)[55] == pytest.approx(0.25)
    assert rates(LearningRateSchedule.COSINE)[55] == pytest.approx(0.25)
    assert rates(LearningRateSchedule.COSINE)[-1] < 0.001


def test_all_steps_may_be_warmup():
    assert rates(LearningRateSchedule.LINEAR, total=4, warmup=1.0) == pytest.approx([0.125, 0.25, 0.375, 0.5])


def test_an_epoch_has_every_sample_once_in_an_order_of_its_own():
    first, second = (torch.cat(list(epoch_batches(50, 8, seed=3, epoch=epoch))) for epoch in (1, 2))
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(50))
    assert first.tolist() != second.tolist()
    assert torch.equal(first, torch.cat(list(epoch_batches(50, 8, seed=3, epoch=1))))


@pytest.mark.parametrize(
    ("samples", "size", "lengths"),
    [(9, 4, [4, 5]), (10, 4, [4, 4, 2]), (8, 4, [4, 4]), (1, 4, [1]), (3, 1, [1, 1, 1])],
)
def test_a_last_batch_of_one_joins_the_one_before(samples, size, lengths):
    made = Batches(torch.arange(samples), size)
    assert [len(part) for part in made] == lengths
    assert torch.cat(list(made)).tolist() == list(range(samples))
    assert [len(part) for part in made.after(len(lengths) - 1)] == lengths[-1:]
    assert len(made) == batch_count(samples, size) == len(lengths)


@pytest.mark.parametrize("optimizer", Optimizer)
def test_weight_decay_is_decoupled_from_the_gradient(optimizer):
    weight = torch.nn.Linear(1, 1, bias=False)
    weight.weight.data.fill_(2.0)
    stepper = make_optimizer(weight, Training(optimizer=optimizer, learning_rate=0.1, weight_decay=0.5))
    for step in (1, 2):  # the second step would show decay that went into the momentum
        weight.weight.grad = torch.zeros(1, 1)
        stepper.step()
        assert weight.weight.item() == pytest.approx(2.0 * (1 - 0.1 * 0.5) ** step)
