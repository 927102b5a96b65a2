"""Confusion counts and what is computed from them, for any leading axes."""

import numpy as np
import pytest

from backend.evaluation.counts import (
    COUNT_METRICS,
    count_metric,
    group_counts,
    lacking,
    mean_defined,
    multiclass_accuracy,
    multiclass_mcc,
)


def confusion(true, called, classes):
    """(C, 4) counts of each class against the rest."""
    one = np.eye(classes)
    return group_counts(
        one[true].astype(np.float32), one[called].astype(np.uint8), np.zeros(len(true), np.intp), 1
    )[0]


@pytest.fixture
def many():
    """(2, 3, 5, 4) counts of six models on the same 5 classes."""
    rng = np.random.default_rng(0)
    true = rng.integers(0, 5, 40)
    models = [np.where(rng.random(40) < 0.6, true, rng.integers(0, 5, 40)) for _ in range(6)]
    return np.stack([confusion(true, called, 5) for called in models]).reshape(2, 3, 5, 4)


@pytest.mark.parametrize("metric", [multiclass_mcc, multiclass_accuracy, *COUNT_METRICS.values()])
def test_leading_axes_are_kept(many, metric):
    values = metric(many)
    assert values.shape[:2] == (2, 3)
    for i, j in np.ndindex(2, 3):
        assert np.array_equal(values[i, j], metric(many[i, j]))


def test_a_model_that_calls_every_fruit_the_same_has_no_agreement():
    same = confusion(np.array([0, 0, 1, 2]), np.zeros(4, int), 3)
    assert multiclass_mcc(same) == 0
    assert np.isnan(multiclass_mcc(confusion(np.zeros(4, int), np.array([0, 1, 2, 0]), 3)))
    assert COUNT_METRICS["mcc"](np.array([2.0, 3.0, 0.0, 0.0])) == 0


def test_one_fruit_is_enough_where_it_can_be():
    hit = np.array([1.0, 0.0, 0.0, 0.0])
    assert (
        COUNT_METRICS["accuracy"](hit) == COUNT_METRICS["recall"](hit) == COUNT_METRICS["precision"](hit) == 1
    )
    assert multiclass_accuracy(confusion(np.array([1]), np.array([1]), 3)) == 1
    one_each = np.array([1.0, 0.0, 0.0, 1.0])
    assert COUNT_METRICS["mcc"](one_each) == COUNT_METRICS["balanced_accuracy"](one_each) == 1
    assert np.isnan(COUNT_METRICS["mcc"](hit))
    assert np.isnan(multiclass_accuracy(np.zeros((3, 4))))


def test_a_mean_is_over_what_is_defined():
    values = np.array(
        [[[1.0, np.nan, 3.0], [np.nan, np.nan, np.nan]], [[2.0, 2.0, 5.0], [0.5, np.nan, np.nan]]]
    )
    assert np.array_equal(mean_defined(values), [[2.0, np.nan], [3.0, 0.5]], equal_nan=True)


def test_unlabelled_fruit_are_counted_nowhere():
    true = np.array([[1, np.nan], [0, 1], [np.nan, 0], [1, 0]], np.float32)
    called = np.array([[1, 1], [1, 0], [0, 0], [0, 1]], np.uint8)
    counts = group_counts(true, called, np.array([0, 2, 2, 2]), 4)
    assert counts.shape == (4, 2, 4)
    assert counts[0].tolist() == [[1, 0, 0, 0], [0, 0, 0, 0]]
    assert counts[2].tolist() == [[0, 1, 1, 0], [0, 1, 1, 1]]
    assert not counts[[1, 3]].any()


def test_what_is_lacking_is_said_in_words():
    assert lacking(("positive", "negative"), np.array([0.0, 0, 0, 0])) == "no labelled fruit"
    assert lacking(("positive", "negative"), np.array([0.0, 0, 0, 2])) == "no fruit has it"
    assert lacking(("positive", "negative"), np.array([1.0, 0, 0, 0])) == "every fruit has it"
    assert lacking(("called",), np.array([0.0, 0, 1, 1])) == "no fruit was called positive"
    assert lacking(("positive", "negative", "called"), np.array([1.0, 0, 0, 1])) == ""


def test_a_metric_is_registered_once():
    with pytest.raises(AssertionError, match="'mcc' is registered twice"):
        count_metric("mcc", "again")(lambda counts: counts[..., 0])
