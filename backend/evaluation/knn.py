"""k-nearest-neighbour protocol: do the features already lie by class, with nothing trained on top?

Wu et al. 2018, "Unsupervised feature learning via non-parametric instance discrimination", section 3.4:
cosine similarity, each neighbour votes with weight exp(similarity / 0.07).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.evaluation.features import Features, Labels, Outcome, Part, l2_normalise, nearest
from backend.evaluation.thresholds import decide

TEMPERATURE = 0.07
MAX_NEIGHBOURS = 20
UNKNOWN = 0.5
"""The score of a defect that no training fruit is labelled for."""


def neighbours(n_train: int) -> int:
    """Neighbours for n training fruit: min(20, n / 10), at least 1, so that few do not all vote."""
    return max(1, min(MAX_NEIGHBOURS, n_train // 10))


def knn_scores(
    train: Part, query: Features, *, k: int | None = None, temperature: float = TEMPERATURE
) -> NDArray[np.float32]:
    """The weighted share of each defect (or class) among the nearest labelled training fruit.

    Args:
        train: features (n, F), labels (n, D); for each defect only fruit labelled for it vote.
        query: (m, F).
        k: neighbours; by default ``neighbours`` of the labelled fruit.
        temperature: of the weights, above 0.

    Returns:
        (m, D) from 0 to 1.
    """
    gallery, queries = l2_normalise(train.features), l2_normalise(query)
    labelled = ~np.isnan(train.labels)
    scores = np.full((len(query), train.labels.shape[1]), UNKNOWN, np.float32)
    # Defects that are labelled on the same fruit share one search.
    patterns, which = np.unique(labelled, axis=1, return_inverse=True)
    for pattern, rows in enumerate(patterns.T):
        if rows.any():
            columns = np.flatnonzero(which.ravel() == pattern)
            scores[:, columns] = _vote(gallery[rows], train.labels[rows][:, columns], queries, k, temperature)
    return scores


def _vote(
    gallery: Features, labels: Labels, queries: Features, k: int | None, temperature: float
) -> NDArray[np.float32]:
    distance, index = nearest(queries, gallery, min(k or neighbours(len(gallery)), len(gallery)))
    # On the unit sphere d^2 = 2 - 2 cos, so the cosine relative to the nearest is exact where it matters.
    gap = (distance**2 - distance[:, :1] ** 2) / 2
    weights = np.exp(-gap / temperature)
    weights /= weights.sum(axis=1, keepdims=True)
    votes: NDArray[np.float32] = np.einsum("mk,mkd->md", weights, labels[index]).astype(np.float32)
    return np.clip(votes, 0, 1)


def knn(train: Part, val: Part, query: Features, *, task: str, k: int | None = None) -> Outcome:
    """Score and decide query fruit by their neighbours in the training part.

    Args:
        train: features and labels of the training part.
        val: of inner validation, which sets the thresholds of a multilabel data set.
        query: (m, F) features of the held-out fruit.
        task: ``multilabel`` or ``multiclass``.
        k: neighbours, by default ``neighbours``.
    """
    score = knn_scores(train, query, k=k)
    y_pred, thresholds = decide(val.labels, knn_scores(train, val.features, k=k), score, task)
    return Outcome(score, y_pred, thresholds)
