"""Names of samples that are made when they are asked for read like the lists that they stand for."""

import os

import pytest
import torch

from distill_trainer.data.sample_ids import ChosenIds, NumberedIds, WrittenIds, in_parts

NUMBERED = [f"train/{row}" for row in range(7)]
FILES = ["a/é.png", "b/x y.png", "", os.fsdecode(b"b/\xff.png"), "c"]
ROWS = torch.tensor([6, 0, 3, 3])


@pytest.mark.parametrize(
    ("made", "meant"),
    [
        (NumberedIds("train/", 7), NUMBERED),
        (NumberedIds("train/", 0), []),
        (ChosenIds(NUMBERED, ROWS), ["train/6", "train/0", "train/3", "train/3"]),
        (ChosenIds(NumberedIds("train/", 7), ROWS[::2]), ["train/6", "train/3"]),
        (ChosenIds(NUMBERED, ROWS[:0]), []),
        (WrittenIds(FILES), FILES),
        (WrittenIds(iter(())), []),
        (WrittenIds(iter(NUMBERED * 3_000)), NUMBERED * 3_000),
    ],
)
def test_they_are_those_of_the_list(made, meant):
    assert list(made) == meant
    assert len(made) == len(meant)
    assert made[1:3] == meant[1:3]
    assert [made[place] for place in range(-len(meant), len(meant))] == [*meant, *meant]
    assert [name for part in in_parts(made, 2) for name in part] == meant
    with pytest.raises(IndexError):
        made[len(meant)]
