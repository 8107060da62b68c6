"""Scores against scikit-learn, intervals against drawing samples one by one."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from distill_api.training import Metric
from distill_trainer.metrics import compare, confusion, score

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 5, 400)
STUDENT = np.where(RNG.random(400) < 0.8, LABELS, RNG.integers(0, 5, 400))
TEACHER = np.where(RNG.random(400) < 0.9, LABELS, RNG.integers(0, 5, 400))
SCORES = {Metric.ACCURACY: accuracy_score, Metric.MACRO_F1: lambda y, p: f1_score(y, p, average="macro")}


@pytest.mark.parametrize("metric", SCORES)
def test_score_is_scikit_learns(metric):
    assert score(metric, STUDENT, LABELS) == pytest.approx(SCORES[metric](LABELS, STUDENT), abs=1e-12)


def test_a_metric_of_vectors_is_no_score_of_classes():
    with pytest.raises(ValueError, match="spearman"):
        score(Metric.SPEARMAN, STUDENT, LABELS)


def test_macro_f1_of_a_class_that_is_only_predicted():
    labels, predicted = np.array([0, 0, 1]), np.array([0, 2, 1])
    assert score(Metric.MACRO_F1, predicted, labels) == pytest.approx(
        SCORES[Metric.MACRO_F1](labels, predicted)
    )


@pytest.mark.parametrize("metric", SCORES)
def test_intervals_are_those_of_drawing_samples(metric):
    found = compare(metric, student=STUDENT, teacher=TEACHER, labels=LABELS, confidence=0.9, seed=1)
    drawn = []
    for _ in range(500):
        rows = RNG.integers(0, 400, 400)
        pair = [score(metric, predicted[rows], LABELS[rows]) for predicted in (STUDENT, TEACHER)]
        drawn.append((*pair, pair[1] - pair[0]))
    low, high = np.quantile(np.array(drawn), [0.05, 0.95], axis=0)
    for at, interval in enumerate((found.student, found.teacher, found.drop)):
        assert (interval.low, interval.high) == pytest.approx((low[at], high[at]), abs=0.012)
        assert interval.low <= interval.value <= interval.high


def test_pairing_makes_the_drop_of_a_model_with_itself_exactly_zero():
    found = compare(Metric.ACCURACY, student=STUDENT, teacher=STUDENT, labels=LABELS, confidence=0.95, seed=0)
    assert (found.drop.low, found.drop.value, found.drop.high) == (0, 0, 0)
    assert found.agreement == 1


def test_same_seed_same_interval():
    arguments = {"student": STUDENT, "teacher": TEACHER, "labels": LABELS, "confidence": 0.95}
    assert compare(Metric.MACRO_F1, **arguments, seed=4) == compare(Metric.MACRO_F1, **arguments, seed=4)
    assert compare(Metric.MACRO_F1, **arguments, seed=4) != compare(Metric.MACRO_F1, **arguments, seed=5)


def test_confusion_has_labels_as_rows():
    assert np.array_equal(confusion(STUDENT, LABELS, 5), confusion_matrix(LABELS, STUDENT))
