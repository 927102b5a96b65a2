"""The classical tests, against scipy, statsmodels and sums by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from backend.evaluation.paired import corrected_t, fruit_needed, holm, mcnemar


def test_without_overlap_the_t_test_is_scipys():
    d = np.random.default_rng(0).normal(0.1, 0.2, size=12)
    ours, scipys = corrected_t(d, test_ratio=0.0), stats.ttest_1samp(d, 0)
    interval = scipys.confidence_interval(0.95)
    assert ours.p_value == pytest.approx(scipys.pvalue)
    assert (ours.low, ours.high) == pytest.approx((interval.low, interval.high))
    assert ours.effect_size == pytest.approx(d.mean() / d.std(ddof=1))


def test_the_correction_by_hand():
    d = np.array([0.02, 0.05, 0.01, 0.04, 0.03])
    t = d.mean() / np.sqrt((1 / 5 + 1 / 4) * d.var(ddof=1))
    assert corrected_t(d, test_ratio=0.25).p_value == pytest.approx(2 * stats.t.sf(t, df=4))


def test_undefined_differences_drop_out_and_two_are_the_least():
    d = np.array([0.1, np.nan, 0.3, 0.2])
    assert corrected_t(d, 0.25).n == 3
    assert corrected_t(d, 0.25).p_value == corrected_t(d[~np.isnan(d)], 0.25).p_value
    assert corrected_t(np.array([0.1, np.nan]), 0.25) is None


def test_two_differences_are_enough():
    d = np.array([0.1, 0.3])
    assert corrected_t(d, test_ratio=0.0).p_value == pytest.approx(stats.ttest_1samp(d, 0).pvalue)


def test_no_spread():
    same = corrected_t(np.zeros(5), 0.25)
    assert (same.p_value, same.effect_size, same.low, same.high) == (1, 0, 0, 0)
    # One fruit of five more in each of three folds: no certainty, however small the spread.
    assert corrected_t(np.full(3, 0.2), 0.5) is None
    assert corrected_t(np.array([0.8 - 0.6, 0.4 - 0.2, 1.0 - 0.8]), 0.5) is None


@pytest.mark.parametrize(
    ("only_a", "only_b"), [(3, 12), (20, 50), (0, 6), (0, 0), (12, 13), (8, 17), (5, 19)]
)
def test_mcnemar_by_hand(only_a, only_b):
    a = np.array([True] * (40 + only_a) + [False] * (only_b + 7))
    b = np.array([True] * 40 + [False] * only_a + [True] * only_b + [False] * 7)
    result = mcnemar(a, b)
    discordant = only_a + only_b
    if discordant < 25:
        expected = stats.binomtest(only_b, discordant).pvalue if discordant else 1.0
    else:
        expected = stats.chi2.sf((abs(only_a - only_b) - 1) ** 2 / discordant, df=1)
    assert result.p_value == pytest.approx(expected)
    assert result.delta == pytest.approx(b.mean() - a.mean())
    assert result.effect_size == pytest.approx((only_b - only_a) / max(1, discordant))
    assert result.p_value <= 1
    assert result.n == len(a)


def test_mcnemar_of_no_fruit():
    nobody = mcnemar(np.zeros(0, bool), np.zeros(0, bool))
    assert (nobody.delta, nobody.p_value, nobody.effect_size, nobody.n) == (0, 1, 0, 0)


@settings(max_examples=10, deadline=None)  # a tenth of a second each, all of it statsmodels
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_statsmodels(p_values):
    p = np.array(p_values)
    corrected = holm(p)
    np.testing.assert_allclose(corrected.p_adjusted, multipletests(p, method="holm")[1], atol=1e-12)


@given(st.lists(st.floats(0.0001, 1), min_size=1, max_size=12))
def test_a_p_value_is_below_its_level_exactly_where_holm_rejects(p_values):
    p = np.array(p_values)
    corrected = holm(p)
    clear = np.abs(p - corrected.level) > 1e-9
    assert ((p <= corrected.level) == (corrected.p_adjusted <= 0.05))[clear].all()


def test_holm_skips_questions_without_a_test():
    corrected = holm(np.array([0.01, np.nan, 0.04]))
    np.testing.assert_allclose(corrected.p_adjusted, [0.02, np.nan, 0.04])


def test_the_needed_fruit_have_the_power_they_promise():
    """A difference of 0.1 with standard error 0.08 on 200 fruit needs (2.8 x 0.8)^2 = 5 x as many."""
    needed = fruit_needed(0.1, 200, 0.08**2, 0.0)
    assert needed == pytest.approx(200 * (0.8 * (1.959964 + 0.841621)) ** 2, rel=1e-4)
    error = 0.08 * np.sqrt(200 / needed)
    drawn = np.random.default_rng(0).normal(0.1, error, size=20_000)
    assert (np.abs(drawn) > 1.959964 * error).mean() == pytest.approx(0.8, abs=0.01)


def test_no_number_of_fruit_mends_training_luck_or_no_difference():
    assert fruit_needed(0.0, 200, 0.01, 0.0) == np.inf
    assert fruit_needed(0.02, 200, 0.01, 0.02**2) == np.inf
    assert fruit_needed(0.1, 200, 0.08**2, 0.02**2) > fruit_needed(0.1, 200, 0.08**2, 0.0)


def test_a_p_value_at_its_level_is_rejected_and_lets_the_next_be_asked():
    corrected = holm(np.array([0.05, 0.025]))
    assert corrected.p_adjusted.tolist() == [0.05, 0.05]
    assert corrected.level.tolist() == [0.05, 0.025]
    stopped = holm(np.array([0.9, 0.03, 0.04]))
    assert stopped.level.tolist() == [0.05 / 3] * 3
    assert stopped.p_adjusted == pytest.approx([0.9, 0.09, 0.09])
    assert holm(np.array([0.0, 0.0])).p_adjusted.tolist() == [0, 0]


def test_at_least_one_fruit_is_needed():
    assert fruit_needed(5.0, 10, 1e-6, 0.0) == 1
