"""Clustering protocol: do groups found without labels agree with the labels?

k-means on length-normalised features, k = number of distinct classes (sets of defects) unless given.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.evaluation.features import Features, Labels, class_index, l2_normalise
from backend.store.bundle import MetricValue

METRICS = ("clustering_nmi", "clustering_ari", "clustering_purity")
RESTARTS = 10


def cluster(features: Features, k: int, seed: int) -> NDArray[np.intp]:
    """The k-means cluster, 0 to k - 1, of each row of (n, F) normalised features; best of 10 starts."""
    from sklearn.cluster import KMeans

    model = KMeans(n_clusters=k, n_init=RESTARTS, random_state=seed)
    return np.asarray(model.fit_predict(l2_normalise(features)), dtype=np.intp)


def purity_score(classes: NDArray[np.intp], clusters: NDArray[np.intp]) -> float:
    """Share of fruit in the commonest class of their cluster, 0 to 1 (Manning et al. 2008, eq. 16.1)."""
    table = np.zeros((int(clusters.max()) + 1, int(classes.max()) + 1), np.int64)
    np.add.at(table, (clusters, classes), 1)
    return float(table.max(axis=1).sum() / len(classes))


def clustering(features: Features, labels: Labels, *, seed: int, k: int | None = None) -> list[MetricValue]:
    """Agreement of clusters with classes.

    Args:
        features: (n, F) of held-out fruit.
        labels: (n, D); only fruit whose class is known are clustered.
        seed: of k-means.
        k: clusters, by default the number of distinct classes present.

    Returns:
        ``clustering_nmi`` (normalised mutual information, 0 to 1), ``clustering_ari`` (adjusted Rand index,
        0 = chance) and ``clustering_purity``; None with the reason for fewer than two classes.
    """
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    classes = class_index(labels)
    known = classes >= 0
    n_classes = len(np.unique(classes[known]))
    if n_classes < 2:
        return [MetricValue(name, None, reason="fewer than two classes") for name in METRICS]
    true = classes[known]
    found = cluster(features[known], min(k or n_classes, len(true)), seed)
    values = (
        normalized_mutual_info_score(true, found),
        adjusted_rand_score(true, found),
        purity_score(true, found),
    )
    return [MetricValue(name, float(value)) for name, value in zip(METRICS, values, strict=True)]
