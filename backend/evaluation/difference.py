"""One difference between two models or sets of runs: its interval, p-value and verdict.

Two kinds of luck blur a difference: which fruit were tested, and which models training happened to end in.
Resampling fruit sees the first alone; between two seeds of one configuration it alone would often find a
"difference". So the interval joins two independent parts by their squared distances from the estimate
(Zou & Donner 2008, "Construction of confidence limits about effect measures: a general approach", MOVER):
the BCa bootstrap over groups, and a t-interval from how much single trainings differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.evaluation.bootstrap import Bootstrap, Interval
from backend.evaluation.paired import fruit_needed

LABELS = {"mcc": "MCC", "auroc": "AUROC", "f1": "F1", "sorting_mcc": "sorting MCC"}
ASSUMED_LUCK = 3.0
"""With one training a side, and one fold, the luck of training cannot be measured. It is then taken to be
three times the error from the fruit: a guess, safe for hundreds of fruit and too small for thousands with
unstable training, where only more seeds tell."""

WIDEST = {"mcc": 2.0, "sorting_mcc": 2.0}
"""How far two values of a metric can lie apart, where that is not 1."""

HOPELESS = 100_000
"""More fruit than this is not worth naming."""


@dataclass(frozen=True)
class TrainingLuck:
    """How much a difference varies with the training run.

    Attributes:
        variance: (M,) of each mean difference.
        degrees: (M,) of freedom behind it; infinite where it is assumed.
        assumed: one training a side in one fold: nothing to measure it by.
    """

    variance: NDArray[np.float64]
    degrees: NDArray[np.float64]
    assumed: bool = False


def training_luck(
    differences: NDArray[np.float64], fruit_error: NDArray[np.float64], overall: NDArray[np.bool_]
) -> TrainingLuck:
    """The variance of a mean difference that comes from training.

    Every fold and seed is a training of its own. With several seeds they are compared inside each fold, on
    the same fruit; with one the folds are all there is, whose differences hold the luck of the fruit too, so
    that the estimate errs on the safe side. A few trainings estimate a variance badly, and a t-interval says
    so by its width. But the columns of a metric are measured by the same trainings, so each borrows from the
    others: the ratio of its variance to the fruit's is averaged with the mean ratio of all (moderated
    variances, Smyth 2004, "Linear models and empirical Bayes methods for assessing differential expression",
    section 3, with a prior as strong as the data), and has up to twice the degrees of freedom. With one seed
    the larger of both counts instead, for up to four times the degrees. The column over all defects borrows
    less: where one lucky training is lucky with every defect, it varies more than they do
    (``tests/backend/evaluation/test_training_luck.py`` counts false alarms with and without that).

    Args:
        differences: (K, S, M) b minus a for each fold, seed and column; NaN where undefined.
        fruit_error: (M,) standard error from resampling fruit.
        overall: (M,) whether a column is over all defects.
    """
    n_folds, n_seeds, n_columns = differences.shape
    if n_folds * n_seeds < 2:
        assumed = (ASSUMED_LUCK * np.nan_to_num(fruit_error)) ** 2
        return TrainingLuck(assumed, np.full(n_columns, np.inf), assumed=True)
    if n_seeds > 1:
        own = _mean(_variance(differences, axis=1).reshape(n_folds, n_columns)) / (n_folds * n_seeds)
        degrees = float(n_folds * (n_seeds - 1))
    else:
        own = _variance(differences[:, 0], axis=0) / n_folds
        degrees = float(n_folds - 1)
    fruit = fruit_error**2
    ratio = _mean(np.divide(own, fruit, out=np.full(n_columns, np.nan), where=fruit > 0)[:, None])[0]
    pooled = np.where(fruit > 0, ratio * fruit, own)
    known = np.isfinite(own)
    if n_seeds > 1:
        others = min(1.0, max(0.0, (int(known[~overall].sum()) - 1) / 2))
        lent = np.where(overall, 0.0, others)
        variance, gain = (own + lent * pooled) / (1 + lent), 1 + lent
    else:
        most = np.where(overall, 2.0, 4.0)
        variance, gain = np.fmax(own, pooled), np.minimum(most, max(1.0, int(known.sum()) / 2))
    return TrainingLuck(np.nan_to_num(np.where(known, variance, pooled)), degrees * gain)


def _variance(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Variance of the defined values along an axis; NaN with fewer than two."""
    defined = ~np.isnan(values)
    n = defined.sum(axis=axis)
    mean = np.where(defined, values, 0).sum(axis=axis) / np.maximum(n, 1)
    squares = np.where(defined, (values - np.expand_dims(mean, axis)) ** 2, 0).sum(axis=axis)
    return np.where(n > 1, squares / np.maximum(n - 1, 1), np.nan)


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of the defined values along the first axis; NaN without one."""
    defined = ~np.isnan(values)
    n = defined.sum(axis=0)
    return np.where(n > 0, np.where(defined, values, 0).sum(axis=0) / np.maximum(n, 1), np.nan)


@dataclass(frozen=True)
class Difference:
    """b minus a in one metric.

    Attributes:
        boot: bootstrap of all differences.
        column: this one's column.
        luck: of training, of all differences.
        n_fruit: fruit compared.
        n_groups: groups they lie in.
        widest: the largest difference that is possible.
    """

    boot: Bootstrap
    column: int
    luck: TrainingLuck
    n_fruit: int
    n_groups: int
    widest: float = 2.0

    @property
    def delta(self) -> float:
        """The difference; NaN where undefined."""
        return float(self.boot.point[self.column])

    def interval(self, alpha: float) -> Interval:
        """Limits at confidence 1 - ``alpha``; None where there are none."""
        from scipy.special import stdtrit

        fruit = self.boot.interval(self.column, alpha)
        if fruit.low is None or fruit.high is None:
            return fruit
        quantile = stdtrit(self.luck.degrees[self.column], 1 - alpha / 2)
        training = float(quantile**2 * self.luck.variance[self.column])
        below, above = max(0.0, self.delta - fruit.low), max(0.0, fruit.high - self.delta)
        low, high = self.delta - np.sqrt(below**2 + training), self.delta + np.sqrt(above**2 + training)
        return Interval(max(float(low), -self.widest), min(float(high), self.widest), fruit.reason)

    def excludes_zero(self, alpha: float) -> bool:
        """Whether the interval at confidence 1 - ``alpha`` lies on one side of zero."""
        interval = self.interval(alpha)
        return (
            interval.low is not None and interval.high is not None and (interval.low > 0 or interval.high < 0)
        )

    def p_value(self) -> float:
        """The smallest alpha at which the interval excludes zero, by bisection; NaN without an interval.

        No smaller than 2 / resamples, where the bootstrap has no finer tail.
        """
        if self.interval(0.05).low is None:
            return float("nan")
        low, high = np.log(2 / len(self.boot.samples)), 0.0
        if self.excludes_zero(float(np.exp(low))):
            return float(np.exp(low))
        for _ in range(20):
            middle = (low + high) / 2
            low, high = (low, middle) if self.excludes_zero(float(np.exp(middle))) else (middle, high)
        return float(np.exp(high))

    def effect_size(self) -> float | None:
        """The difference in standard deviations between groups of fruit (Cohen's d_z)."""
        spread = self.boot.standard_error(self.column) * np.sqrt(self.n_groups)
        return float(self.delta / spread) if spread > 0 else None

    def fruit_needed(self, alpha: float) -> float:
        """Labelled fruit for 80 % power, were the difference as large as it looks; may be infinite."""
        fruit = self.boot.standard_error(self.column) ** 2
        luck = float(self.luck.variance[self.column])
        # What training seems to add up to the fruit's own variance is mostly fruit (see training_luck).
        shared = min(luck, fruit)
        return fruit_needed(self.delta, self.n_fruit, fruit + shared, luck - shared, alpha)

    def verdict(self, metric: str, alpha: float) -> str:
        """What to tell a manager, from the interval at confidence 1 - ``alpha``."""
        interval, label = self.interval(alpha), LABELS.get(metric, metric.replace("_", " "))
        if interval.low is None or interval.high is None:
            return f"no verdict: {interval.reason or 'undefined on these fruit'}"
        caveat = "; one training each, so its luck is assumed" if self.luck.assumed else ""
        low, high = interval.low, interval.high
        if low > 0:
            return f"better by {self.delta:.2f} {label} ({low:.2f} to {high:.2f}){caveat}"
        if high < 0:
            return f"worse by {-self.delta:.2f} {label} ({-high:.2f} to {-low:.2f}){caveat}"
        return f"not distinguishable with these {self.n_fruit:,} fruit; {self._what_would_help(alpha)}"

    def _what_would_help(self, alpha: float) -> str:
        needed = self.fruit_needed(alpha)
        if self.delta == 0:
            return "no difference was seen"
        if np.isinf(needed) and self.luck.assumed:
            return "one training each: more seeds would settle it"
        if np.isinf(needed):
            return (
                "training runs differ more than the methods do: more seeds, not more fruit, would settle it"
            )
        if needed <= self.n_fruit:  # the t-interval of a few trainings is far wider than their spread
            return "too few training runs to tell: more seeds would settle it"
        if needed > HOPELESS:
            return f"a difference this small would take more than {HOPELESS:,} labelled fruit"
        more = max(1, round(needed - self.n_fruit))
        digits = 10 ** max(0, len(str(more)) - 2)
        return f"about {-(-more // digits) * digits:,} more labelled fruit would settle it"
