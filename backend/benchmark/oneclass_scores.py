"""How well a score finds strange fruit, with intervals: the two areas that CH-Rand's tables show."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.evaluation.ranking import Ranking
from backend.store.bundle import MetricValue

RESAMPLES = 2000


class Areas:
    """Areas under the ROC and the precision-recall curve, of weighted fruit, for many weightings at once.

    The second is taken by the trapezoidal rule, as CH-Rand's scripts do (``sklearn.metrics.auc`` of the
    curve); it lies a little above average precision.

    Args:
        strange: (n,) True for anomalous fruit.
        score: (n,) higher = stranger.
    """

    def __init__(self, strange: NDArray[np.bool_], score: NDArray[np.float64]) -> None:
        self.ranking = Ranking(strange.astype(np.float64), score)

    def __call__(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """(R, n) weights to (R, 2) areas: ROC, precision-recall."""
        ranking = self.ranking
        both = weights[:, ranking.group]
        found = np.cumsum(np.add.reduceat(both * ranking.positive, ranking.starts, axis=1), axis=1)
        called = np.cumsum(np.add.reduceat(both, ranking.starts, axis=1), axis=1)
        # Before anything is called, precision is 1 by convention; fruit of weight 0 add no point.
        precision = np.where(called > 0, found / np.maximum(called, 1e-12), 1)
        start = np.ones((len(weights), 1))
        heights = np.concatenate([start, precision], axis=1)
        recall = np.concatenate([0 * start, found / found[:, -1:]], axis=1)
        area = (np.diff(recall, axis=1) * (heights[:, 1:] + heights[:, :-1]) / 2).sum(axis=1)
        return np.stack([ranking(weights)[:, 0], area], axis=1)


def areas(strange: NDArray[np.bool_], score: NDArray[np.float64]) -> tuple[float, float]:
    """Both areas, every fruit with weight 1."""
    roc, precision_recall = Areas(strange, score)(np.ones((1, len(score))))[0]
    return float(roc), float(precision_recall)


def area_metrics(
    strange: NDArray[np.bool_], score: NDArray[np.float64], name: str, seed: int
) -> tuple[MetricValue, MetricValue]:
    """``oneclass_auroc:NAME`` and ``oneclass_auprc:NAME`` with 95 % intervals.

    Args:
        strange: (n,) True for anomalous fruit.
        score: (n,) higher = stranger.
        name: of the score, e.g. ``k5``.
        seed: of the bootstrap over test fruit, normal and strange ones drawn apart.
    """
    rng = np.random.default_rng(seed)
    weights = np.zeros((RESAMPLES, len(score)))
    for kind in (np.flatnonzero(strange), np.flatnonzero(~strange)):
        weights[:, kind] = rng.multinomial(len(kind), np.full(len(kind), 1 / len(kind)), RESAMPLES)
    low, high = np.percentile(Areas(strange, score)(weights), (2.5, 97.5), axis=0)
    values = areas(strange, score)
    roc, precision_recall = (
        MetricValue(f"oneclass_{measure}:{name}", value, None, float(low[i]), float(high[i]))
        for i, (measure, value) in enumerate(zip(("auroc", "auprc"), values, strict=True))
    )
    return roc, precision_recall
