"""Cuts and limits: which rows, and how they are told."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from distill_api.dataset import Dataset
from distill_trainer.data.arrange import arrange
from distill_trainer.data.cut import cut, equal_shares, limited
from distill_trainer.data.dataset import ArrayPixels, Opened, SourceSplit
from distill_trainer.errors import ContractBroken


def opened(**sizes: int) -> Opened:
    def split(name: str, size: int) -> SourceSplit:
        labels = torch.arange(size) % 2
        ids = [f"{name}/{row}" for row in range(size)]
        return SourceSplit(ids, labels, ArrayPixels(lambda: torch.zeros(size, 1, 2, 2, dtype=torch.uint8)))

    return Opened("toy", ("a", "b"), (1, 2, 2), {name: split(name, size) for name, size in sizes.items()})


def dataset(**fields: object) -> Dataset:
    return Dataset.model_validate({"builtin": {"name": "digits"}, **fields})


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=80), st.floats(0, 1), st.integers(0, 9))
def test_a_cut_loses_and_doubles_nothing(labels: list[int], share: float, seed: int) -> None:
    stays, off = cut(torch.tensor(labels), share, seed=seed)
    assert sorted([*stays.tolist(), *off.tolist()]) == list(range(len(labels)))


def test_a_cut_takes_from_each_class_alike_and_by_seed() -> None:
    labels = torch.arange(100) % 4
    _, off = cut(labels, 0.2, seed=1)
    assert labels[off].bincount().tolist() == [5, 5, 5, 5]
    assert torch.equal(off, cut(labels, 0.2, seed=1)[1])
    assert not torch.equal(off, cut(labels, 0.2, seed=2)[1])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.data())
def test_shares_are_as_equal_as_the_classes_allow(available: list[int], data: st.DataObject) -> None:
    total = data.draw(st.integers(0, sum(available)))
    shares = equal_shares(available, total)
    assert sum(shares) == total
    assert all(share <= count for share, count in zip(shares, available, strict=True))
    # Only a class that gave all it has may give less than another, beyond the one left over.
    least_open = min(
        (share for share, count in zip(shares, available, strict=True) if share < count), default=None
    )
    assert least_open is None or max(shares) <= least_open + 1


def test_many_small_classes_add_up_to_the_share() -> None:
    labels = torch.arange(100).repeat_interleave(3)
    stays, off = cut(labels, 0.1, seed=0)
    assert len(off) == 30
    assert len(labels[stays].unique()) == 100


def test_a_limit_of_an_unbalanced_set_takes_equally_from_each_class() -> None:
    labels = torch.tensor([0] * 90 + [1] * 10)
    assert labels[limited(labels, 20, seed=0)].bincount().tolist() == [10, 10]
    assert labels[limited(labels, 60, seed=0)].bincount().tolist() == [50, 10]


def test_parts_that_are_there_are_used_as_they_are() -> None:
    parts = arrange(opened(train=40, validation=6, test=8), dataset(), seed=3)
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (40, 6, 8)
    assert parts.says == ()


def test_parts_that_are_missing_are_cut_from_train_and_said() -> None:
    parts = arrange(opened(train=100), dataset(), seed=3)
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (70, 10, 20)
    owners = [set(part.ids) for part in (parts.train, parts.validation, parts.test)]
    assert all(not (one & other) for one, other in pairwise([*owners, owners[0]]))
    assert "test: 20 samples (20%) cut from train by seed 3" in parts.says


def test_the_limit_counts_training_samples_only() -> None:
    parts = arrange(opened(train=100), dataset(limit=10), seed=3)
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (10, 10, 20)
    assert parts.train.labels.bincount().tolist() == [5, 5]


def test_a_validation_split_of_another_name_is_pointed_at() -> None:
    says = arrange(opened(train=100, valid=10, test=10), dataset(), seed=0).says
    assert any("set dataset.splits.validation to it" in said for said in says)


@pytest.mark.parametrize(
    ("splits", "fields", "reason", "said"),
    [
        (
            {"trian": 9},
            {},
            "SplitNotFound",
            "dataset.splits.train is 'train', but toy has trian; did you mean 'trian'?",
        ),
        ({"train": 9}, {"splits": {"test": "holdout"}}, "SplitNotFound", "dataset.splits.test is 'holdout'"),
        (
            {"train": 9, "test": 0},
            {},
            "EmptySplit",
            "dataset.splits.test is 'test', and toy has no sample in it",
        ),
        ({"train": 2}, {}, "EmptySplit", "too few training samples"),
        ({"train": 9}, {"splits": {"test": "train"}}, "SplitsOverlap", "measured on what it was trained on"),
    ],
)
def test_faults_name_the_field(
    splits: dict[str, int], fields: dict[str, object], reason: str, said: str
) -> None:
    with pytest.raises(ContractBroken) as fault:
        arrange(opened(**splits), dataset(**fields), seed=0)
    assert fault.value.reason == reason
    assert said in fault.value.message
