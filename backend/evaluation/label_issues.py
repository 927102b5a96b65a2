"""What in the data deserves a second look: likely label errors and outliers.

These are suggestions for people, ranked by strength; nothing is changed or left out because of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.data.dataset import MULTICLASS
from backend.store.bundle import Predictions

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
