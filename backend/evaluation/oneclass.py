"""One-class protocol: fitted on normal fruit only, which held-out fruit look strange?

``knn`` is the protocol of Choi et al. 2022 ("Self-supervised representation learning for reliable robotic
monitoring of fruit anomalies", CH-Rand): mean Euclidean distance to the k nearest normal features. The
others use the same features better:

- ``knn_whitened``: the same after whitening, so that directions in which normal fruit hardly vary count;
- ``mahalanobis``: distance to the normal fruit's mean in the whitened space (Rippel et al. 2020, "Modeling
  the distribution of normal data in pre-trained deep features for anomaly detection");
- ``local_density``: distance relative to that of the neighbours themselves, for normal fruit of unequal
  variety (Schubert et al. 2014, "Local outlier detection reconsidered", simplified LOF).

All scores are higher for stranger fruit and have no unit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.errors import DataError
from backend.evaluation.features import Features, nearest
from backend.evaluation.ranking import auroc_and_average_precision
from backend.store.bundle import MetricValue

Scores = NDArray[np.float64]
Scorer = Callable[[Features, Features, int], Scores]


def _knn(normal: Features, query: Features, k: int) -> Scores:
    return nearest(query, normal, k)[0].mean(axis=1).astype(np.float64)


def _whiten(normal: Features, query: Features) -> tuple[Features, Features]:
    """Both, scaled so that normal fruit have unit covariance (shrunk after Ledoit & Wolf 2004)."""
    from sklearn.covariance import ledoit_wolf

    mean = normal.mean(axis=0, dtype=np.float64)
    values, vectors = np.linalg.eigh(ledoit_wolf(normal - mean, assume_centered=True)[0])
    scale = vectors / np.sqrt(np.maximum(values, np.finfo(np.float32).eps * max(values[-1], 1e-12)))
    return ((normal - mean) @ scale).astype(np.float32), ((query - mean) @ scale).astype(np.float32)


def _knn_whitened(normal: Features, query: Features, k: int) -> Scores:
    return _knn(*_whiten(normal, query), k)


def _mahalanobis(normal: Features, query: Features, k: int) -> Scores:
    distances: Scores = np.linalg.norm(_whiten(normal, query)[1].astype(np.float64), axis=1)
    return distances


def _local_density(normal: Features, query: Features, k: int) -> Scores:
    own = nearest(normal, normal, min(k, len(normal) - 1), skip_self=True)[0].mean(axis=1).astype(np.float64)
    distance, index = nearest(query, normal, k)
    around = own[index].mean(axis=1)
    floor = np.finfo(np.float32).tiny
    return distance.mean(axis=1).astype(np.float64) / np.maximum(around, floor)


SCORERS: dict[str, Scorer] = {
    "knn": _knn,
    "knn_whitened": _knn_whitened,
    "mahalanobis": _mahalanobis,
    "local_density": _local_density,
}


@dataclass(frozen=True)
class OneClass:
    """How well a score tells strange fruit from normal ones; NaN where either is absent."""

    scorer: str
    k: int
    auroc: float
    average_precision: float

    def metrics(self) -> list[MetricValue]:
        """``oneclass_auroc`` and ``oneclass_average_precision``."""
        named = (("auroc", self.auroc), ("average_precision", self.average_precision))
        return [
            MetricValue(f"oneclass_{name}", None, reason="held-out fruit are all normal or all strange")
            if np.isnan(value)
            else MetricValue(f"oneclass_{name}", value)
            for name, value in named
        ]


def anomaly_scores(normal: Features, query: Features, *, scorer: str = "knn", k: int = 5) -> Scores:
    """How strange each query fruit is.

    Args:
        normal: (n, F) features of normal training fruit, at least two.
        query: (m, F).
        scorer: a name from ``SCORERS``.
        k: neighbours, no more than n are used.

    Returns:
        (m,), higher = stranger.

    Raises:
        DataError: fewer than two normal fruit.
    """
    if len(normal) < 2:
        raise DataError(
            f"{len(normal)} normal training fruit",
            where="one-class evaluation",
            expected="2 or more",
            action="name another normal class",
        )
    return SCORERS[scorer](normal, query, min(k, len(normal)))


def one_class(
    normal: Features, query: Features, strange: NDArray[np.bool_], *, scorer: str = "knn", k: int = 5
) -> OneClass:
    """Score held-out fruit by a model of normal ones.

    Args:
        normal: (n, F) features of normal training fruit.
        query: (m, F) features of held-out fruit.
        strange: (m,) True for fruit that are not normal: the positives of both areas.
        scorer: a name from ``SCORERS``.
        k: neighbours.
    """
    scores = anomaly_scores(normal, query, scorer=scorer, k=k)
    return OneClass(scorer, k, *auroc_and_average_precision(strange.astype(np.float32), scores))
