"""Bootstrap intervals over groups, for many statistics at once.

Fruit of one pallet are alike, so the pallet is what a resample draws. A resample is a vector of group
weights (how often each group was drawn), and a statistic is a function of weights: all metrics of all
models see the same weights, so their differences pair. Intervals are BCa, bias-corrected and accelerated
(Efron & Tibshirani 1993, "An Introduction to the Bootstrap", eq. 14.9, 14.10, 14.14, 14.15).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float64]
Statistic = Callable[[Weights], NDArray[np.float64]]
"""Group weights (R, G) to values (R, M); NaN where a value is undefined for those weights."""

MAX_JACKKNIFE = 400
"""With more groups than this, blocks of groups are left out instead of single ones."""

_BLOCK = 1 << 17
"""Weights held at once: 1 MB, so a block of resamples stays in the processor's cache."""

MIN_DEFINED = 0.75
"""Share of resamples in which a statistic must be defined for it to get an interval. What hangs on one group,
such as a defect of a single pallet, is undefined without it, in 1/e = 37 % of them; all others hold that very
group, as another season would not."""


@dataclass(frozen=True)
class Interval:
    """Confidence limits; both None where there is no interval, with the reason."""

    low: float | None
    high: float | None
    reason: str = ""


@dataclass(frozen=True)
class Bootstrap:
    """M statistics under resampling.

    Attributes:
        point: (M,) on the data as they are.
        samples: (R, M) on each resample.
        jackknife: (J, M) with each group, or block of groups, left out.
    """

    point: NDArray[np.float64]
    samples: NDArray[np.float64]
    jackknife: NDArray[np.float64]

    @cached_property
    def accelerations(self) -> list[float]:
        """The acceleration of each statistic."""
        return [acceleration(values) for values in self.jackknife.T]

    def standard_error(self, column: int) -> float:
        """Standard deviation of the defined resamples of one statistic; NaN with fewer than two."""
        values = self.samples[:, column]
        values = values[~np.isnan(values)]
        return float(values.std(ddof=1)) if len(values) > 1 else float("nan")

    def interval(self, column: int, alpha: float = 0.05) -> Interval:
        """The BCa interval of one statistic at confidence 1 - ``alpha``.

        Resamples in which the statistic is undefined (no positive group drawn) are left out. There is no
        interval where they are more than a quarter, where the others are all alike, or with one group.
        """
        point, values = float(self.point[column]), self.samples[:, column]
        defined = values[~np.isnan(values)]
        if np.isnan(point) or not len(defined):
            return Interval(None, None)
        if len(self.jackknife) < 2:
            return Interval(None, None, "every fruit is of one group, which says nothing about others")
        if len(defined) < MIN_DEFINED * len(values):
            return Interval(
                None, None, f"undefined in {len(values) - len(defined)} of {len(values)} resamples"
            )
        if np.ptp(defined) == 0 and len(defined) < len(values):
            return Interval(None, None, "the same in every resample that defines it: too few groups tell")
        if np.ptp(defined) == 0:
            return Interval(point, point, "no resample changes it: too few fruit or errors for an interval")
        low, high = np.quantile(defined, self._levels(column, point, defined, alpha))
        return Interval(float(low), float(high))

    def _levels(
        self, column: int, point: float, defined: NDArray[np.float64], alpha: float
    ) -> NDArray[np.float64]:
        from scipy.special import ndtr, ndtri

        # Ties with the point value count one half: metrics of counts are discrete.
        below = ((defined < point).mean() + (defined <= point).mean()) / 2
        bias = ndtri(np.clip(below, 0.5 / len(defined), 1 - 0.5 / len(defined)))
        shifted = bias + ndtri(np.array([alpha / 2, 1 - alpha / 2]))
        denominator = 1 - self.accelerations[column] * shifted
        # Far out the correction turns over; the extreme resample is then the limit.
        limits = np.where(denominator > 0, ndtr(bias + shifted / denominator), shifted > 0)
        levels: NDArray[np.float64] = limits.astype(np.float64)
        return levels


def acceleration(jackknife: NDArray[np.float64]) -> float:
    """The acceleration of BCa from leave-one-out values (Efron & Tibshirani eq. 14.15); undefined ones drop.

    Blocks of groups estimate the same number: sums of independent influences keep the ratio of the third
    to the second moment.
    """
    values = jackknife[~np.isnan(jackknife)]
    if not len(values):
        return 0.0
    deviations = values.mean() - values
    spread = float((deviations**2).sum())
    return float((deviations**3).sum() / (6 * spread**1.5)) if spread > 0 else 0.0


def group_weights(n_groups: int, resamples: int, seed: int, rows: int) -> Iterator[Weights]:
    """Blocks of at most ``rows`` weightings (rows, G), each drawing G groups with replacement.

    The draws depend on ``n_groups`` and ``seed`` alone, not on the size of the blocks.
    """
    rng = np.random.default_rng(seed)
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        drawn = rng.integers(0, n_groups, (size, n_groups)) + np.arange(size)[:, None] * n_groups
        yield np.bincount(drawn.ravel(), minlength=size * n_groups).reshape(size, n_groups).astype(np.float64)


def leave_out_weights(n_groups: int, seed: int, rows: int) -> Iterator[Weights]:
    """Blocks of weightings (rows, G) that each leave out one group, or one random block of groups."""
    n_blocks = min(n_groups, MAX_JACKKNIFE)
    block = np.arange(n_groups) * n_blocks // n_groups
    if n_blocks < n_groups:
        block = np.random.default_rng(seed).permutation(block)
    for start in range(0, n_blocks, rows):
        left_out = np.arange(start, min(start + rows, n_blocks))
        yield (block != left_out[:, None]).astype(np.float64)


@cache
def _numpy_threads() -> Any:
    """Controls the threads of numpy's products; found once, since looking for them takes milliseconds."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")


def bootstrap(
    statistic: Statistic, n_groups: int, *, resamples: int = 2000, seed: int = 0, width: int = 0
) -> Bootstrap:
    """Evaluate a statistic on the data, on resamples of its groups and with groups left out.

    Args:
        statistic: of group weights.
        n_groups: G, at least 1.
        resamples: R.
        seed: of the resamples; the same seed and G give the same weights.
        width: the longest row the statistic makes of one weighting (its number of fruit), which bounds
            how many weightings are evaluated at once.
    """
    assert n_groups > 0, "no group to resample"
    rows = max(1, _BLOCK // max(n_groups, width))
    # The products are small: beside trainings, waiting for a second thread takes longer than the work.
    with _numpy_threads().limit(limits=1):
        return Bootstrap(
            point=statistic(np.ones((1, n_groups)))[0],
            samples=np.concatenate([statistic(w) for w in group_weights(n_groups, resamples, seed, rows)]),
            jackknife=np.concatenate([statistic(w) for w in leave_out_weights(n_groups, seed, rows)]),
        )
