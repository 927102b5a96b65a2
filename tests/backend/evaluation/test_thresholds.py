"""Thresholds: as good as the best of a brute-force search, in the middle, the same in single precision."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import matthews_corrcoef

from backend.evaluation.thresholds import (
    apply_thresholds,
    choose_threshold,
    decide,
    one_hot_best,
)


def arrays(*columns):
    return tuple(np.array(column, dtype=np.float32) for column in columns)


def every_cut(score):
    distinct = np.unique(score.astype(float))
    return [0.0, *((distinct[1:] + distinct[:-1]) / 2), 1.1]


@st.composite
def labelled(draw):
    n = draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    score = rng.random(n) if draw(st.booleans()) else rng.integers(0, 5, n) / 4
    true = rng.integers(0, 2, n).astype(np.float32)
    true[rng.random(n) < 0.1] = np.nan
    return true, score.astype(np.float32)


@settings(max_examples=80, deadline=None)
@given(labelled())
def test_no_cut_has_a_higher_mcc(case):
    true, score = case
    threshold = choose_threshold(true, score)
    known = ~np.isnan(true)
    if len(set(true[known])) < 2:
        assert threshold == 0.5
        return
    reached = matthews_corrcoef(true[known], score[known] >= np.float64(threshold))
    decisions = [score[known] >= np.float64(t) for t in every_cut(score)]
    best = max(
        matthews_corrcoef(true[known], called) for called in decisions if reachable(true[known], called)
    )
    assert reached >= best - 1e-9 or (best <= 1e-9 and threshold == 0.5)


def reachable(true, called):
    """Whether the best scores that call as many would agree with the labels by .5 or more."""
    if called.sum() <= true.sum():
        return True
    ideal = np.arange(len(true)) < called.sum()
    return matthews_corrcoef(np.sort(true)[::-1], ideal) >= 0.5 - 1e-9


def test_what_was_not_learned_does_not_call_nearly_every_fruit():
    true = np.zeros(200, np.float32)
    true[10:26] = 1  # the lowest scores are sound by luck: calling all others has the highest MCC
    score = np.linspace(0.01, 0.99, 200, dtype=np.float32)
    rng = np.random.default_rng(0)
    true[10:] = rng.permutation(true[10:])
    called = (score >= choose_threshold(true, score)).mean()
    assert matthews_corrcoef(true, score >= 0.055) > matthews_corrcoef(true, score >= 0.7)
    assert called <= 0.26


def test_a_learned_defect_keeps_its_best_cut_however_many_it_calls():
    true, score = np.zeros(100, np.float32), np.linspace(0, 1, 100, dtype=np.float32)
    true[70:80] = 1  # twenty false alarms above them
    called = score >= choose_threshold(true, score)
    assert called.sum() == 30


def test_the_middle_of_the_gap():
    assert choose_threshold(*arrays([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])) == pytest.approx(0.5)
    assert choose_threshold(*arrays([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.9])) == pytest.approx(0.25)


def test_of_two_equally_good_gaps_the_wider_then_the_one_closest_to_a_half():
    # Cuts above the third and above the fourth fruit each make one error of the mirrored kind.
    true, score = arrays([0, 0, 1, 0, 1, 1], [0.1, 0.2, 0.3, 0.45, 0.9, 0.95])
    assert choose_threshold(true, score) == pytest.approx((0.45 + 0.9) / 2)
    true, score = arrays([0, 0, 1, 0, 1, 1], [0.1, 0.2, 0.3, 0.6, 0.7, 0.95])
    assert choose_threshold(true, score) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("true", "score"),
    [
        ([0, 0, 0], [0.1, 0.5, 0.9]),
        ([1, 1], [0.1, 0.2]),
        ([0, 1, 0, 1], [0.3, 0.3, 0.3, 0.3]),
        ([1, 0], [0.1, 0.9]),
        ([np.nan, np.nan], [0.1, 0.9]),
        ([], []),
    ],
)
def test_a_half_where_nothing_can_be_learned(true, score):
    assert choose_threshold(*arrays(true, score)) == 0.5


def test_neighbouring_single_precision_scores_stay_apart():
    low = np.float32(0.3)
    high = np.nextafter(low, np.float32(1))
    threshold = choose_threshold(*arrays([0, 1], [low, high]))
    scores = np.array([low, high])
    assert (scores >= threshold).tolist() == [False, True]  # a Python float: compared in single precision
    assert (scores >= np.float64(threshold)).tolist() == [False, True]


def test_decide_uses_validation_for_defects_and_the_maximum_for_classes():
    val_true, val_score = arrays([[0, 1], [1, 0]], [[0.1, 0.3], [0.3, 0.1]])
    (score,) = arrays([[0.25, 0.15], [0.15, 0.25], [0.4, 0.1]])
    called, thresholds = decide(val_true, val_score, score, "multilabel")
    np.testing.assert_allclose(thresholds, [0.2, 0.2])
    assert called.tolist() == [[1, 0], [0, 1], [1, 0]]
    assert (called == apply_thresholds(score, thresholds)).all()
    called, thresholds = decide(val_true, val_score, score, "multiclass")
    assert np.isnan(thresholds).all()
    assert (called == one_hot_best(score)).all()
    assert called.sum(axis=1).tolist() == [1, 1, 1]
