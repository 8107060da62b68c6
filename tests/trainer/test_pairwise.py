"""Spearman's correlation over pairs, by hand and by scipy, and its interval."""

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from distill_trainer.pairwise import Ranked, cosines, nearest, places, spearman, spearman_interval


@pytest.fixture
def vectors():
    draw = np.random.default_rng(0)
    teacher = draw.normal(size=(30, 8)).astype(np.float32)
    return teacher, (teacher + 0.7 * draw.normal(size=(30, 8))).astype(np.float32)


def test_three_texts_by_hand():
    """Cosines (12, 13, 23) of the teacher 0, √½, √½ and of the student 0.6, 0.8, 0: ranks 1 2.5 2.5 and 2 3 1."""
    teacher = np.array([[1, 0], [0, 1], [1, 1]], dtype=np.float32)
    student = np.array([[1, 0, 0], [0.6, 0.8, 0], [0.8, -0.6, 0]], dtype=np.float32)
    assert cosines(student) == pytest.approx([0.6, 0.8, 0], abs=1e-7)
    # deviations −1 ½ ½ and 0 1 −1: Σ products 0
    assert spearman(Ranked(np.round(cosines(teacher), 6)), Ranked(cosines(student))) == pytest.approx(0)
    assert nearest(student).tolist() == [2, 0, 0]


def test_it_is_scipys(vectors):
    theirs, mine = (cosines(each) for each in vectors)
    assert spearman(Ranked(mine), Ranked(theirs)) == pytest.approx(
        spearmanr(mine, theirs).statistic, abs=1e-12
    )


def test_ties_share_their_ranks_and_weights_are_copies():
    values, often = np.array([3.0, 1, 3, 2, 1]), np.array([2.0, 1, 0, 3, 2])
    assert Ranked(values).ranks() == pytest.approx(rankdata(values))
    copied = np.repeat(np.arange(5), often.astype(int))
    ranks = Ranked(values).ranks(often)
    assert ranks[copied] == pytest.approx(rankdata(values[copied]))
    other = np.array([0.5, 0.1, 0.9, 0.2, 0.3])
    weighted = spearman(Ranked(values), Ranked(other), often)
    assert weighted == pytest.approx(spearmanr(values[copied], other[copied]).statistic, abs=1e-12)


def test_the_interval_is_that_of_samples_drawn_again_one_by_one(vectors):
    teacher, student = vectors
    found = spearman_interval(
        Ranked(cosines(student)), Ranked(cosines(teacher)), 30, confidence=0.9, seed=3, rounds=400
    )
    draw, values = np.random.default_rng(9), []
    for _ in range(400):
        rows = draw.integers(30, size=30)
        first, second = np.triu_indices(30, 1)
        apart = rows[first] != rows[second]
        mine, theirs = (cosines(each[rows])[apart] for each in (student, teacher))
        values.append(spearmanr(mine, theirs).statistic)
    low, high = np.quantile(values, [0.05, 0.95])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.03)
    assert found.low < found.value < found.high


def test_a_model_that_finds_all_alike_has_no_correlation(vectors):
    same = Ranked(np.ones(435))
    assert spearman(same, Ranked(cosines(vectors[0]))) == 0
    assert spearman_interval(same, same, 30, confidence=0.95, seed=0, rounds=5).value == 0


def test_more_than_a_thousand_are_spread_evenly():
    assert places(7).tolist() == list(range(7))
    assert places(2500)[:4].tolist() == [0, 2, 5, 7]
    assert (len(places(2500)), places(2500)[-1]) == (1000, 2497)
