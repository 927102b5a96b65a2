"""Metrics of a decision, from confusion counts: pure functions, vectorised over any leading axes.

Counts are arrays (..., 4) in the order true positives, false positives, false negatives, true negatives,
so one call scores every bootstrap resample. NaN = undefined. What is undefined is a matter of the truth:
without a positive fruit nothing can be said about finding positives. A model that calls every fruit the
same has an MCC of 0, the limit of the formula (Chicco & Jurman 2020, "The advantages of the Matthews
correlation coefficient over F1 score and accuracy", section "Methods") and scikit-learn's value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.float64]
TP, FP, FN, TN = range(4)

LABELLED, POSITIVE, NEGATIVE, CALLED = "labelled", "positive", "negative", "called"
_MISSING = {
    LABELLED: "no labelled fruit",
    POSITIVE: "no fruit has it",
    NEGATIVE: "every fruit has it",
    CALLED: "no fruit was called positive",
}


@dataclass(frozen=True)
class CountMetric:
    """A metric of the decisions on one defect.

    Attributes:
        name: as in the store.
        description: one line for people.
        needs: what the counts must hold for it to be defined.
        compute: counts (..., 4) to values (...), valid where ``needs`` is met.
    """

    name: str
    description: str
    needs: tuple[str, ...]
    compute: Callable[[Counts], NDArray[np.float64]]

    def __call__(self, counts: Counts) -> NDArray[np.float64]:
        """Values (...) of counts (..., 4); NaN where undefined."""
        with np.errstate(divide="ignore", invalid="ignore"):
            values = self.compute(counts)
        defined = np.logical_and.reduce([_available(counts)[need] for need in (LABELLED, *self.needs)])
        return np.where(defined, values, np.nan)


def lacking(needs: tuple[str, ...], counts: Counts) -> str:
    """The first of the needs that counts (4,) do not meet, in words; empty where they meet all."""
    available = _available(counts)
    return next((_MISSING[need] for need in (LABELLED, *needs) if not available[need]), "")


COUNT_METRICS: dict[str, CountMetric] = {}


def count_metric(
    name: str, description: str, *needs: str
) -> Callable[[Callable[[Counts], NDArray[np.float64]]], Callable[[Counts], NDArray[np.float64]]]:
    """Register the decorated function of counts (..., 4); its mean over defects is taken too.

    Args:
        name: as in the store.
        description: one line for people.
        needs: what the counts must hold for it to be defined, beside a labelled fruit.
    """

    def register(compute: Callable[[Counts], NDArray[np.float64]]) -> Callable[[Counts], NDArray[np.float64]]:
        assert name not in COUNT_METRICS, f"metric {name!r} is registered twice"
        COUNT_METRICS[name] = CountMetric(name, description, needs, compute)
        return compute

    return register


def _available(counts: Counts) -> dict[str, NDArray[np.bool_]]:
    positives, negatives = counts[..., TP] + counts[..., FN], counts[..., FP] + counts[..., TN]
    return {
        LABELLED: positives + negatives > 0,
        POSITIVE: positives > 0,
        NEGATIVE: negatives > 0,
        CALLED: counts[..., TP] + counts[..., FP] > 0,
    }


@count_metric(
    "mcc", "Matthews correlation coefficient, -1 to 1; 0 = no better than chance", POSITIVE, NEGATIVE
)
def _mcc(c: Counts) -> NDArray[np.float64]:
    covariance = c[..., TP] * c[..., TN] - c[..., FP] * c[..., FN]
    called, passed = c[..., TP] + c[..., FP], c[..., FN] + c[..., TN]
    spread = called * passed * (c[..., TP] + c[..., FN]) * (c[..., FP] + c[..., TN])
    return np.where(spread > 0, covariance / np.sqrt(spread), 0.0)


@count_metric("accuracy", "share of fruit decided rightly")
def _accuracy(c: Counts) -> NDArray[np.float64]:
    share: NDArray[np.float64] = (c[..., TP] + c[..., TN]) / c.sum(axis=-1)
    return share


@count_metric(
    "balanced_accuracy", "mean of the share of positives and of negatives found", POSITIVE, NEGATIVE
)
def _balanced_accuracy(c: Counts) -> NDArray[np.float64]:
    return (c[..., TP] / (c[..., TP] + c[..., FN]) + c[..., TN] / (c[..., TN] + c[..., FP])) / 2


@count_metric("f1", "harmonic mean of precision and recall", POSITIVE)
def _f1(c: Counts) -> NDArray[np.float64]:
    return 2 * c[..., TP] / (2 * c[..., TP] + c[..., FP] + c[..., FN])


@count_metric("precision", "share of called fruit that have it", POSITIVE, CALLED)
def _precision(c: Counts) -> NDArray[np.float64]:
    return c[..., TP] / (c[..., TP] + c[..., FP])


@count_metric("recall", "share of fruit with it that are called", POSITIVE)
def _recall(c: Counts) -> NDArray[np.float64]:
    return c[..., TP] / (c[..., TP] + c[..., FN])


def multiclass_mcc(counts: Counts) -> NDArray[np.float64]:
    """The MCC of C exclusive classes (Gorodkin 2004, "Comparing two K-category assignments").

    Args:
        counts: (..., C, 4), each class against the rest, all over the same fruit.

    Returns:
        (...) values, 0 where every fruit is called the same, NaN where the truth holds one class only.
    """
    hits = counts[..., TP]
    true, called = hits + counts[..., FN], hits + counts[..., FP]
    total = true.sum(axis=-1)
    covariance = hits.sum(axis=-1) * total - (true * called).sum(axis=-1)
    true_spread = total**2 - (true**2).sum(axis=-1)
    spread = true_spread * (total**2 - (called**2).sum(axis=-1))
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.where(spread > 0, covariance / np.sqrt(spread), 0.0)
    return np.where(true_spread > 0, value, np.nan)


def multiclass_accuracy(counts: Counts) -> NDArray[np.float64]:
    """Share of fruit whose class was found: (..., C, 4) to (...); NaN without a labelled fruit."""
    hits, labelled = counts[..., TP].sum(axis=-1), (counts[..., TP] + counts[..., FN]).sum(axis=-1)
    return _ratio(hits, labelled)


def mean_defined(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the last axis of the values that are defined; NaN where none is."""
    defined = ~np.isnan(values)
    total, n = np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1)
    return _ratio(total, n)


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    out = np.full(np.shape(above), np.nan)
    np.divide(above, below, out=out, where=below > 0)
    return out


def group_counts(
    y_true: NDArray[np.float32], y_pred: NDArray[np.uint8], group: NDArray[np.intp], n_groups: int
) -> Counts:
    """Confusion counts of every group.

    Args:
        y_true: (n, D), 1, 0 or NaN; an unlabelled entry is counted nowhere.
        y_pred: (n, D), 1 or 0.
        group: (n,) group of each fruit, 0 to G - 1.
        n_groups: G.

    Returns:
        (G, D, 4).
    """
    n_columns = y_true.shape[1]
    cell = np.where(y_true == 1, np.where(y_pred == 1, TP, FN), np.where(y_pred == 1, FP, TN))
    index = (group[:, None] * n_columns + np.arange(n_columns)) * 4 + cell
    counts = np.bincount(index[~np.isnan(y_true)], minlength=n_groups * n_columns * 4)
    return counts.reshape(n_groups, n_columns, 4).astype(np.float64)
