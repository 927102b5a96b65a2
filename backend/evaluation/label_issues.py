"""What in the data deserves a second look: likely label errors, near-duplicates, outliers.

These are suggestions for people, ranked by strength; nothing is changed or left out because of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.data.dataset import MULTICLASS
from backend.evaluation.features import Features, Groups, l2_normalise, nearest, row_blocks
from backend.store.bundle import Predictions

DUPLICATE = 0.995
"""Cosine similarity from which two fruit look like one picture taken twice."""

OUTLYING = 5.0
"""Robust standard deviations from which a fruit is far from all others."""


@dataclass(frozen=True)
class LabelError:
    """A label that held-out predictions contradict.

    Attributes:
        fruit_id: whose label.
        defect: the defect in question; in a multiclass data set the class it was given.
        given: the label as it stands, 1 or 0.
        suggested: the defect or class that the model sees instead, or ``"none"``.
        quality: how far the label agrees with the model, 0 to 1; lowest first.
    """

    fruit_id: str
    defect: str
    given: int
    suggested: str
    quality: float


@dataclass(frozen=True)
class Duplicate:
    """Two rows of one feature matrix that are nearly the same."""

    first: int
    second: int
    similarity: float


def label_errors(predictions: Predictions, task: str) -> list[LabelError]:
    """Likely label errors by confident learning (Northcutt, Jiang & Chuang 2021, "Confident learning").

    Args:
        predictions: held-out predictions of all folds: no fruit judged by a model that trained on it.
        task: ``multilabel`` (each defect on its own) or ``multiclass``.

    Returns:
        Lowest quality first; empty where a question has one class only.
    """
    p = predictions
    if task == MULTICLASS:
        found = _multiclass_errors(p)
    else:
        found = [error for j in range(len(p.defects)) for error in _defect_errors(p, j)]
    return sorted(found, key=lambda error: (error.quality, error.fruit_id, error.defect))


def _multiclass_errors(p: Predictions) -> list[LabelError]:
    rows = np.flatnonzero((p.y_true == 1).any(axis=1))
    given = p.y_true[rows].argmax(axis=1)
    present, classes = np.unique(given, return_inverse=True)
    score = p.score[rows][:, present].astype(np.float64) + 1e-12
    suspects, quality = _confident(classes, score / score.sum(axis=1, keepdims=True))
    return [
        LabelError(
            fruit_id=p.fruit_ids[rows[i]],
            defect=p.defects[given[i]],
            given=1,
            suggested=p.defects[present[score[i].argmax()]],
            quality=float(quality[i]),
        )
        for i in suspects
    ]


def _defect_errors(p: Predictions, column: int) -> list[LabelError]:
    rows = np.flatnonzero(~np.isnan(p.y_true[:, column]))
    given = p.y_true[rows, column].astype(np.intp)
    score = p.score[rows, column].astype(np.float64)
    name = p.defects[column]
    suspects, quality = _confident(given, np.stack([1 - score, score], axis=1))
    return [
        LabelError(p.fruit_ids[rows[i]], name, int(given[i]), "none" if given[i] else name, float(quality[i]))
        for i in suspects
    ]


def _confident(
    classes: NDArray[np.intp], probability: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Rows that confident learning suspects, and the quality of every label."""
    if len(np.unique(classes)) < 2:
        return np.zeros(0, np.intp), np.ones(len(classes))
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    suspects = find_label_issues(classes, probability, return_indices_ranked_by="self_confidence", n_jobs=1)
    return np.asarray(suspects, dtype=np.intp), np.asarray(get_label_quality_scores(classes, probability))


def near_duplicates(
    features: Features, *, groups: Groups | None = None, threshold: float = DUPLICATE, limit: int = 1000
) -> list[Duplicate]:
    """Pairs of rows of (n, F) features that are nearly the same, most alike first.

    Args:
        features: (n, F).
        groups: (n,); given, only pairs across groups count, which would leak between folds.
        threshold: least cosine similarity.
        limit: most pairs to return.
    """
    unit = l2_normalise(features)
    pairs: list[Duplicate] = []
    for rows in row_blocks(len(unit), len(unit)):
        similarity = unit[rows] @ unit[rows.start :].T
        alike = np.triu(similarity >= threshold, k=1)
        if groups is not None:
            alike &= groups[rows, None] != groups[rows.start :]
        pairs += [
            Duplicate(int(rows.start + i), int(rows.start + j), float(similarity[i, j]))
            for i, j in zip(*np.nonzero(alike), strict=True)
        ]
        pairs = sorted(pairs, key=lambda pair: (-pair.similarity, pair.first, pair.second))[:limit]
    return pairs


def outliers(
    features: Features, *, k: int = 10, threshold: float = OUTLYING
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Rows of (n, F) features that lie far from all others, farthest first: see ``outlying``.

    Returns:
        The rows, and the mean distance of every row to its k nearest in units of the median row's, (n,).
    """
    n = len(features)
    if n < 3:
        return np.zeros(0, np.intp), np.ones(n)
    distance, _ = nearest(features, features, min(k, n - 1), skip_self=True)
    return outlying(distance.mean(axis=1).astype(np.float64), threshold=threshold)


def outlying(
    distance: NDArray[np.float64], *, threshold: float = OUTLYING
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Fruit whose neighbours are unusually far, farthest first.

    The (n,) distances to the nearest neighbours are judged on a log scale by their median and median
    deviation, which the outliers themselves hardly move.

    Returns:
        The rows whose robust z-score exceeds ``threshold``, and all distances in units of the median, (n,);
        ones where the median is 0.
    """
    if not len(distance) or not np.median(distance) > 0:
        return np.zeros(0, np.intp), np.ones(len(distance))
    size = np.log(np.maximum(distance, np.finfo(np.float32).tiny))
    deviation = size - np.median(size)
    # 1.4826 makes the median deviation of a normal distribution its standard deviation.
    spread = 1.4826 * np.median(np.abs(deviation))
    scores = deviation / spread if spread > 0 else np.zeros(len(distance))
    order = np.argsort(-scores, kind="stable")
    return order[scores[order] > threshold], distance / np.median(distance)
