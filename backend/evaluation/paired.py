"""Tests for paired results: over folds and seeds, on single fruit, and many questions at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ROUNDING = 1e-9
"""Differences of metrics that are closer than this differ by rounding alone."""
EXACT_BELOW = 25
"""McNemar's test is exact with fewer discordant fruit than this."""


@dataclass(frozen=True)
class PairedTest:
    """The result of one test.

    Attributes:
        delta: mean difference, b minus a.
        low: lower 95 % limit; None where the test has none.
        high: upper 95 % limit.
        p_value: two-sided.
        effect_size: standardised difference, as the test says.
        n: pairs.
    """

    delta: float
    low: float | None
    high: float | None
    p_value: float
    effect_size: float
    n: int


def corrected_t(
    differences: NDArray[np.float64], test_ratio: float, alpha: float = 0.05
) -> PairedTest | None:
    """The corrected resampled t-test (Nadeau & Bengio 2003, "Inference for the generalization error").

    Training parts of different folds overlap, so the differences are not independent: the plain t-test finds
    differences that are not there. The variance is therefore inflated from 1/n to 1/n + test_ratio.

    Args:
        differences: one for each fold and seed, b minus a; undefined ones (NaN) are dropped.
        test_ratio: fruit in a test part over fruit in a training part.
        alpha: 1 - confidence of the limits.

    Returns:
        The test, its effect size the mean over the standard deviation (Cohen's d_z); None with fewer than
        two defined differences, or where all are the same and not 0: a few fruit more in each of a few
        folds may well be, and give no spread to judge by.
    """
    from scipy.special import stdtr, stdtrit

    d = differences[~np.isnan(differences)]
    n = len(d)
    if n < 2:
        return None
    if not d.any():
        return PairedTest(0.0, 0.0, 0.0, 1.0, 0.0, n)
    if np.ptp(d) <= _ROUNDING:
        return None
    mean, variance = float(d.mean()), float(d.var(ddof=1))
    error = float(np.sqrt((1 / n + test_ratio) * variance))
    reach = float(stdtrit(n - 1, 1 - alpha / 2)) * error
    p_value = 2 * float(stdtr(n - 1, -abs(mean) / error))
    return PairedTest(mean, mean - reach, mean + reach, p_value, mean / np.sqrt(variance), n)


def mcnemar(right_a: NDArray[np.bool_], right_b: NDArray[np.bool_]) -> PairedTest:
    """McNemar's test of two models on the same fruit; exact with fewer than 25 discordant ones.

    Args:
        right_a: (n,) whether model a decided each fruit rightly.
        right_b: (n,) the same for model b.

    Returns:
        The difference in accuracy and its p-value, without limits. The effect size is (only b right - only
        a right) / (only one right), -1 to 1.
    """
    from statsmodels.stats.contingency_tables import mcnemar as test

    only_a, only_b = int((right_a & ~right_b).sum()), int((~right_a & right_b).sum())
    discordant, n = only_a + only_b, len(right_a)
    # The test looks at the discordant fruit alone.
    table = [[0, only_a], [only_b, 0]]
    p_value = (
        float(test(table, exact=discordant < EXACT_BELOW, correction=True).pvalue) if discordant else 1.0
    )
    gain = only_b - only_a
    return PairedTest(gain / max(n, 1), None, None, min(1.0, p_value), gain / max(discordant, 1), n)


@dataclass(frozen=True)
class Holm:
    """Holm's correction of one family.

    Attributes:
        p_adjusted: (m,), in the order given.
        level: (m,) the alpha that each p-value is held to; an interval at confidence 1 - level excludes zero
            exactly where the adjusted p-value is below alpha, if it is the p-value's own interval.
    """

    p_adjusted: NDArray[np.float64]
    level: NDArray[np.float64]


def holm(p_values: NDArray[np.float64], alpha: float = 0.05) -> Holm:
    """Holm's step-down correction (Holm 1979, "A simple sequentially rejective multiple test procedure").

    Args:
        p_values: (m,); NaN where a question has no test, which then does not count.
        alpha: chance of any false alarm in the family.
    """
    adjusted, level = np.full(len(p_values), np.nan), np.full(len(p_values), alpha)
    asked = np.flatnonzero(~np.isnan(p_values))
    order = asked[np.argsort(p_values[asked], kind="stable")]
    highest, rejecting, held_to = 0.0, True, alpha
    for rank, i in enumerate(order):
        left = len(order) - rank
        highest = max(highest, min(1.0, left * p_values[i]))
        if rejecting:
            held_to = alpha / left
            rejecting = highest <= alpha
        adjusted[i], level[i] = highest, held_to
    return Holm(adjusted, level)


def fruit_needed(
    delta: float,
    n: int,
    fruit_variance: float,
    training_variance: float,
    alpha: float = 0.05,
    power: float = 0.8,
) -> float:
    """The number of labelled fruit with which a difference would be found.

    Args:
        delta: the difference seen, taken for the true one.
        n: fruit it was seen with.
        fruit_variance: variance of ``delta`` that shrinks with more fruit.
        training_variance: variance that only more training runs would shrink.
        alpha: level of the test.
        power: chance to find it.

    Returns:
        Fruit, at least 1; infinity where no number would do: no difference, or training runs that differ
        too much.
    """
    from scipy.special import ndtri

    reach = ndtri(1 - alpha / 2) + ndtri(power)
    allowed = (delta / reach) ** 2 - training_variance
    return max(1.0, n * fruit_variance / allowed) if allowed > 0 else float("inf")
