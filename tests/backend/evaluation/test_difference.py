"""One difference: its interval, its size in words, and how much of it is luck."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy import stats

from backend.evaluation.bootstrap import Bootstrap, bootstrap
from backend.evaluation.difference import Difference, TrainingLuck

NONE = TrainingLuck(np.zeros(1), np.full(1, np.inf))


def mean_of(values):
    return lambda weights: ((weights @ values) / weights.sum(axis=1))[:, None]


def difference(values, luck=NONE):
    """The mean of one value per group, each group a fruit."""
    boot = bootstrap(mean_of(values), len(values), resamples=1000, seed=0)
    return Difference(boot, 0, luck, len(values), len(values))


@dataclass(frozen=True)
class Told(Difference):
    """A difference that needs as many fruit as it is told."""

    needed: float = 0.0

    def fruit_needed(self, alpha):
        return self.needed


def told(needed, delta=0.01, luck=NONE, n=200):
    samples = np.linspace(-1, 1, 401)[:, None]
    boot = Bootstrap(np.array([delta]), samples, np.array([[0.0], [0.0]]))
    return Told(boot, 0, luck, n, n, needed=needed).verdict("mcc", 0.05).partition("; ")[2]


def test_the_effect_is_in_standard_deviations_between_groups():
    values = np.random.default_rng(0).normal(0.5, 1.0, 400)
    assert difference(values).effect_size() == pytest.approx(values.mean() / values.std(), rel=0.1)
    assert difference(np.full(16, 0.25)).effect_size() is None


def test_without_luck_the_interval_is_the_bootstraps():
    found = difference(np.random.default_rng(0).normal(0.5, 1.0, 60))
    assert found.interval(0.05).low == pytest.approx(found.boot.interval(0).low)
    assert found.interval(0.05).high == pytest.approx(found.boot.interval(0).high)


def test_luck_and_fruit_join_by_their_squares():
    found = difference(
        np.random.default_rng(0).normal(0.5, 1.0, 60), TrainingLuck(np.array([0.04]), np.array([7.0]))
    )
    plain, joined = found.boot.interval(0, 0.1), found.interval(0.1)
    reach = stats.t.ppf(0.95, 7) * 0.2
    assert found.delta - joined.low == pytest.approx(np.hypot(found.delta - plain.low, reach))
    assert joined.high - found.delta == pytest.approx(np.hypot(plain.high - found.delta, reach))


def test_no_interval_is_wider_than_the_metric():
    """Two folds of one seed leave a t-interval that would reach from -300 to 400 of 100 fruit."""
    few = TrainingLuck(np.array([0.05]), np.array([1.0]))
    wild = difference(np.linspace(0.3, 0.7, 20), luck=few).interval(0.05)
    assert (wild.low, wild.high) == (-2, 2)
    recall = replace(difference(np.linspace(0.3, 0.7, 20), luck=few), widest=1.0).interval(0.05)
    assert (recall.low, recall.high) == (-1, 1)


def test_the_p_value_is_where_the_interval_stops_excluding_zero():
    found = difference(np.random.default_rng(0).normal(0.25, 1.0, 60))
    p = found.p_value()
    assert 2 / 1000 < p < 1
    assert found.excludes_zero(p * 1.001)
    assert not found.excludes_zero(p * 0.999)
    assert difference(np.random.default_rng(0).normal(9, 1.0, 60)).p_value() == pytest.approx(2 / 1000)
    assert difference(np.zeros(30)).p_value() == pytest.approx(1)


def test_better_and_worse_are_said_the_same_way():
    values = np.random.default_rng(0).normal(0.5, 1.0, 100)
    better, worse = (difference(sign * values).verdict("f1", 0.05) for sign in (1, -1))
    low, high = (difference(values).interval(0.05).low, difference(values).interval(0.05).high)
    assert better == f"better by {values.mean():.2f} F1 ({low:.2f} to {high:.2f})"
    mirrored = difference(-values).interval(0.05)
    assert worse == f"worse by {values.mean():.2f} F1 ({-mirrored.high:.2f} to {-mirrored.low:.2f})"


@pytest.mark.parametrize(
    ("needed", "words"),
    [
        (12, "too few training runs to tell: more seeds would settle it"),
        (201, "about 1 more labelled fruit would settle it"),
        (200.2, "about 1 more labelled fruit would settle it"),
        (207, "about 7 more labelled fruit would settle it"),
        (285, "about 85 more labelled fruit would settle it"),
        (200 + 1234, "about 1,300 more labelled fruit would settle it"),
        (200 + 12_000, "about 12,000 more labelled fruit would settle it"),
        (100_000, "about 100,000 more labelled fruit would settle it"),
        (100_001, "a difference this small would take more than 100,000 labelled fruit"),
        (
            np.inf,
            "training runs differ more than the methods do: more seeds, not more fruit, would settle it",
        ),
    ],
)
def test_what_would_help(needed, words):
    assert told(needed) == words


def test_no_difference_and_assumed_luck_have_words_of_their_own():
    assert told(500, delta=0.0) == "no difference was seen"
    assumed = TrainingLuck(np.zeros(1), np.full(1, np.inf), assumed=True)
    assert told(np.inf, luck=assumed) == "one training each: more seeds would settle it"


def test_needed_fruit_count_what_training_adds_to_their_own_variance():
    values = np.random.default_rng(0).normal(0.2, 1.0, 60)
    plain = difference(values)
    error = plain.boot.standard_error(0) ** 2
    reach = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    assert plain.fruit_needed(0.05) == pytest.approx(60 * error * (reach / plain.delta) ** 2)
    lucky = difference(values, TrainingLuck(np.array([error / 2]), np.full(1, np.inf)))
    assert lucky.fruit_needed(0.05) == pytest.approx(1.5 * plain.fruit_needed(0.05))
