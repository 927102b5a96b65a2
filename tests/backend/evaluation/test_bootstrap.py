"""BCa intervals: against scipy, against known coverage, and independent of how they are computed."""

import numpy as np
import pytest
from scipy import stats

from backend.evaluation import bootstrap as module
from backend.evaluation.bootstrap import Bootstrap, acceleration, bootstrap, group_weights, leave_out_weights


def mean_of(values):
    """The weighted mean of one value per group, as a statistic."""

    def mean(weights):
        with np.errstate(invalid="ignore"):  # without its one group nothing is left
            return ((weights @ values) / weights.sum(axis=1))[:, None]

    return mean


@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_the_interval_is_scipys(alpha):
    values = np.random.default_rng(3).exponential(size=80)
    ours = bootstrap(mean_of(values), 80, resamples=4000, seed=11).interval(0, alpha)
    scipys = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=4000,
        method="BCa",
        confidence_level=1 - alpha,
        rng=np.random.default_rng(11),
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((scipys.low, scipys.high), abs=1e-9)


def test_a_ratio_statistic_is_scipys_too():
    rng = np.random.default_rng(5)
    hits, tries = rng.poisson(3, 60).astype(float), rng.poisson(9, 60) + 1.0
    ours = bootstrap(lambda w: ((w @ hits) / (w @ tries))[:, None], 60, resamples=2000, seed=1).interval(0)
    scipys = stats.bootstrap(
        (hits, tries),
        lambda h, t, axis: h.sum(axis=axis) / t.sum(axis=axis),
        paired=True,
        n_resamples=2000,
        method="BCa",
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((scipys.low, scipys.high), abs=1e-9)


def test_the_block_size_changes_nothing(monkeypatch):
    values = np.random.default_rng(0).normal(size=37)
    whole = bootstrap(mean_of(values), 37, resamples=300, seed=2)
    monkeypatch.setattr(module, "_BLOCK", 64)
    blocks = bootstrap(mean_of(values), 37, resamples=300, seed=2)
    np.testing.assert_allclose(whole.samples, blocks.samples, rtol=0, atol=1e-12)
    np.testing.assert_allclose(whole.jackknife, blocks.jackknife, rtol=0, atol=1e-12)


def test_weights_draw_every_group_equally_often():
    weights = np.concatenate(list(group_weights(10, 4000, seed=0, rows=128)))
    assert weights.shape == (4000, 10)
    assert (weights.sum(axis=1) == 10).all()
    # Each count is binomial(10, 1/10): mean 1, standard deviation 0.95 / sqrt(4000) = 0.015.
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.075)
    np.testing.assert_allclose(weights.var(axis=0), 0.9, atol=0.1)


@pytest.mark.parametrize(("n_groups", "n_blocks"), [(7, 7), (400, 400), (1000, 400)])
def test_each_group_is_left_out_exactly_once(n_groups, n_blocks):
    weights = np.concatenate(list(leave_out_weights(n_groups, seed=0, rows=50)))
    assert weights.shape == (n_blocks, n_groups)
    assert ((1 - weights).sum(axis=0) == 1).all()
    sizes = (1 - weights).sum(axis=1)
    assert sizes.max() - sizes.min() <= 1


def test_blocks_estimate_the_acceleration_of_single_groups(monkeypatch):
    values = np.random.default_rng(0).exponential(size=2000)
    blocks = acceleration(bootstrap(mean_of(values), 2000, resamples=1).jackknife[:, 0])
    monkeypatch.setattr(module, "MAX_JACKKNIFE", 2000)
    single = acceleration(bootstrap(mean_of(values), 2000, resamples=1).jackknife[:, 0])
    assert single == pytest.approx(stats.skew(values) / (6 * np.sqrt(2000)), rel=0.01)
    assert blocks == pytest.approx(single, abs=0.004)


def test_intervals_cover_the_truth_as_often_as_they_say():
    """300 data sets of 40 pallets x 5 correlated fruit, true accuracy 0.8.

    At 95 % coverage the count is binomial: 0.95 +- 3 x 0.0126. An interval that took the fruit for
    independent would cover about 0.8 here.
    """
    rng = np.random.default_rng(0)
    covered = narrow = 0
    for trial in range(300):
        share = rng.beta(4, 1, size=40)  # mean 0.8, pallets differ
        right = (rng.random((40, 5)) < share[:, None]).astype(float)
        interval = bootstrap(mean_of(right.mean(axis=1)), 40, resamples=600, seed=trial).interval(0)
        covered += interval.low <= 0.8 <= interval.high
        fruit = bootstrap(mean_of(right.ravel()), 200, resamples=600, seed=trial).interval(0)
        narrow += fruit.low <= 0.8 <= fruit.high
    assert 0.91 <= covered / 300 <= 0.99
    assert narrow < covered


def test_undefined_resamples_are_left_out_and_too_many_leave_no_interval():
    def undefined_without(*groups):
        return lambda w: np.where(
            w[:, groups].any(axis=1, keepdims=True), w @ np.arange(5.0)[:, None], np.nan
        )

    some = bootstrap(undefined_without(0, 1), 5, resamples=500, seed=0)
    assert np.isnan(some.samples).mean() == pytest.approx(0.6**5, abs=0.04)
    assert some.interval(0).low is not None
    one = bootstrap(undefined_without(0), 5, resamples=500, seed=0)
    assert np.isnan(one.samples).mean() == pytest.approx(0.8**5, abs=0.07)
    assert one.interval(0).low is None
    never = bootstrap(lambda w: np.where(w.max(axis=1, keepdims=True) < 2, 1.0, np.nan), 5, resamples=500)
    assert never.interval(0).low is None
    assert "resamples" in never.interval(0).reason


def made_of(samples, point=0.0, jackknife=(0.0, 0.0)):
    """A bootstrap whose numbers are given."""
    return Bootstrap(
        np.array([point]), np.array(samples, float)[:, None], np.array(jackknife, float)[:, None]
    )


def test_what_is_undefined_is_counted_and_three_quarters_are_enough():
    nan = np.nan
    enough = made_of([0.1, 0.2, 0.3, nan]).interval(0)
    assert enough.low is not None
    assert enough.reason == ""
    less = made_of([0.1, 0.2, nan, nan]).interval(0)
    assert (less.low, less.high, less.reason) == (None, None, "undefined in 2 of 4 resamples")
    alike = made_of([0.2, 0.2, 0.2, nan]).interval(0)
    assert (alike.low, alike.high) == (None, None)
    assert "too few groups" in alike.reason
    assert made_of([nan, nan]).interval(0).reason == ""
    assert made_of([0.1, 0.2], point=nan).interval(0).low is None


def test_the_standard_error_is_that_of_the_defined_resamples():
    assert made_of([0.1, 0.4, np.nan]).standard_error(0) == pytest.approx(np.std([0.1, 0.4], ddof=1))
    assert np.isnan(made_of([0.1, np.nan]).standard_error(0))
    values = np.random.default_rng(3).exponential(size=50)
    ours = bootstrap(mean_of(values), 50, seed=4)
    assert ours.standard_error(0) == pytest.approx(values.std() / np.sqrt(50), rel=0.1)


@pytest.mark.parametrize("side", [-1, 1])
def test_a_point_beyond_every_resample_has_a_finite_interval(side):
    """The bias is then that of half a resample, equation 14.14 with its count kept inside the range."""
    samples = side * np.linspace(0.1, 1, 200)
    jackknife = np.array([0.0, 0.1, 0.3])
    interval = made_of(samples, 0.0, jackknife).interval(0, alpha=0.3)
    bias = side * stats.norm.ppf(0.5 / 200)
    shifted = bias + stats.norm.ppf([0.15, 0.85])
    levels = stats.norm.cdf(bias + shifted / (1 - acceleration(jackknife) * shifted))
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(samples, levels)))


def test_a_correction_that_turns_over_ends_at_the_extreme_resample():
    samples = np.linspace(-1, 1, 101)
    interval = made_of(samples, 0.0, [0.0] * 60 + [-40.0]).interval(0, alpha=1e-9)
    assert interval.high == 1.0 or interval.low == -1.0
    assert interval.low < interval.high


def test_leave_one_out_values_that_agree_or_are_undefined_have_no_acceleration():
    assert acceleration(np.full(5, 0.3)) == 0
    assert acceleration(np.full(3, np.nan)) == 0
    assert acceleration(np.array([1.0, 2.0, 4.0, np.nan])) == acceleration(np.array([1.0, 2.0, 4.0])) != 0


def test_two_thousand_resamples_of_seed_0_unless_told_otherwise():
    values = np.random.default_rng(0).normal(size=6)
    plain = bootstrap(mean_of(values), 6)
    assert plain.samples.shape == (2000, 1)
    assert np.array_equal(plain.samples, bootstrap(mean_of(values), 6, resamples=2000, seed=0).samples)


def test_one_group_has_no_spread_and_no_group_is_a_defect_of_ours():
    alone = bootstrap(mean_of(np.array([0.7])), 1, resamples=20).interval(0)
    assert (alone.low, alone.high) == (None, None)
    assert "one group" in alone.reason
    with pytest.raises(AssertionError, match="no group"):
        bootstrap(mean_of(np.zeros(0)), 0)
