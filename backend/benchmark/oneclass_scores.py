"""How well a score finds strange fruit, with intervals: the two areas that CH-Rand's tables show."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.store.bundle import MetricValue

RESAMPLES = 400


def areas(strange: NDArray[np.bool_], score: NDArray[np.float64]) -> tuple[float, float]:
    """Area under the ROC curve, and under the precision-recall curve by the trapezoidal rule.

    The trapezoid is what CH-Rand's scripts compute (``sklearn.metrics.auc`` of the curve); it lies a little
    above average precision.
    """
    from sklearn.metrics import auc, precision_recall_curve, roc_auc_score

    precision, recall, _ = precision_recall_curve(strange, score)
    return float(roc_auc_score(strange, score)), float(auc(recall, precision))


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
    kinds = np.flatnonzero(strange), np.flatnonzero(~strange)
    drawn = []
    for _ in range(RESAMPLES):
        rows = np.concatenate([rng.choice(kind, len(kind)) for kind in kinds])
        drawn.append(areas(strange[rows], score[rows]))
    low, high = np.percentile(np.array(drawn), (2.5, 97.5), axis=0)
    roc, pr = areas(strange, score)
    return (
        MetricValue(f"oneclass_auroc:{name}", roc, ci_low=float(low[0]), ci_high=float(high[0])),
        MetricValue(f"oneclass_auprc:{name}", pr, ci_low=float(low[1]), ci_high=float(high[1])),
    )
