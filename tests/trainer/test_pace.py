"""How fast a training goes, and when it will have ended."""

import pytest

from distill_api.status import Losses
from distill_trainer import progress
from distill_trainer.progress import ProgressBoard


@pytest.fixture
def clock(monkeypatch):
    """Seconds, as the test sets them."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def read(board, clock, *, at, step):
    clock[0] = 100.0 + at
    losses = Losses(total=1, task=1, distillation=1)
    board.steps(step=step, epoch=1, samples=320, losses=losses)
    return board.progress.samples_per_second, board.progress.seconds_remaining


def test_what_the_first_steps_take_once_is_not_what_the_others_take(clock):
    board = ProgressBoard()
    board.begin(step=0, total_steps=1000, epochs=1)
    assert read(board, clock, at=64, step=10) == (5, 6336)
    assert read(board, clock, at=65, step=20) == (320, 98)
    assert read(board, clock, at=66, step=30) == (320, 97)


def test_it_follows_a_machine_that_becomes_slow(clock):
    board = ProgressBoard()
    board.begin(step=500, total_steps=10_000, epochs=1)
    for reading in range(100):
        read(board, clock, at=reading, step=510 + 10 * reading)
    for reading in range(progress._READINGS):
        last = read(board, clock, at=100 + 10 * reading, step=1510 + 10 * reading)
    assert last == (32, 8000)
