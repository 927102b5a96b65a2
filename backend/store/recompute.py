"""Metrics from predictions, a second time: the oracle by which ``doctor`` judges what is stored.

Written apart from ``backend.evaluation`` on purpose (and below it): two programs that agree are evidence.
Definitions are those of contracts section 3; scikit-learn's values in every case that is defined.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.store.bundle import Predictions

Values = dict[tuple[str, str | None], float]
"""(metric, defect or None) to value."""

COUNTED = ("mcc", "accuracy", "balanced_accuracy", "f1", "precision", "recall")
RANKED = ("auroc", "average_precision")


def recompute(predictions: Predictions, task: str) -> Values:
    """Every metric that these predictions define.

    Args:
        predictions: n fruit, D defects.
        task: ``multilabel`` or ``multiclass``.

    Returns:
        Metrics a defect, and over all defects (defect None). What is undefined is left out.
    """
    values: Values = {}
    for column, defect in enumerate(predictions.defects):
        known = ~np.isnan(predictions.y_true[:, column])
        truth = predictions.y_true[known, column] == 1
        for metric, value in {
            **_counted(truth, predictions.y_pred[known, column] == 1),
            **_ranked(truth, predictions.score[known, column]),
        }.items():
            values[metric, defect] = value
    for metric in (*COUNTED, *RANKED):
        defined = [values[metric, name] for name in predictions.defects if (metric, name) in values]
        if defined:
            values[metric, None] = float(np.mean(defined))
    if task == "multiclass":
        values.update(_multiclass(predictions))
    return values


def _counted(truth: NDArray[np.bool_], called: NDArray[np.bool_]) -> dict[str, float]:
    """Metrics of a decision; those that the truth leaves undefined are missing."""
    tp, fp = int((truth & called).sum()), int((~truth & called).sum())
    fn, tn = int((truth & ~called).sum()), int((~truth & ~called).sum())
    positive, negative = tp + fn, fp + tn
    values: dict[str, float] = {}
    if positive + negative:
        values["accuracy"] = (tp + tn) / (positive + negative)
    if positive:
        values["recall"] = tp / positive
        values["f1"] = 2 * tp / (2 * tp + fp + fn)
    if positive and tp + fp:
        values["precision"] = tp / (tp + fp)
    if positive and negative:
        values["balanced_accuracy"] = (tp / positive + tn / negative) / 2
        spread = (tp + fp) * (fn + tn) * positive * negative
        values["mcc"] = (tp * tn - fp * fn) / spread**0.5 if spread else 0.0
    return values


def _ranked(truth: NDArray[np.bool_], score: NDArray[np.float32]) -> dict[str, float]:
    """Areas under the curves; fruit of equal score are one step of the curve."""
    positive = int(truth.sum())
    negative = len(truth) - positive
    if not positive or not negative:
        return {}
    _, step = np.unique(-score, return_inverse=True)  # from the highest score down
    hits = np.bincount(step, weights=truth)
    misses = np.bincount(step, weights=~truth)
    above = np.cumsum(hits)
    precision = above / (above + np.cumsum(misses))
    return {
        "auroc": float((misses * (above - hits / 2)).sum() / (positive * negative)),
        "average_precision": float((precision * hits).sum() / positive),
    }


def _multiclass(predictions: Predictions) -> Values:
    """Over all classes: accuracy, mean recall, and the MCC of K classes (Gorodkin 2004, eq. 8)."""
    known = ~np.isnan(predictions.y_true).any(axis=1)
    if not known.any():
        return {}
    width = len(predictions.defects)
    truth = predictions.y_true[known].argmax(axis=1)
    called = predictions.y_pred[known].argmax(axis=1)
    matrix = np.zeros((width, width), dtype=np.int64)
    np.add.at(matrix, (truth, called), 1)
    total, hits = int(matrix.sum()), int(np.trace(matrix))
    true, chosen = matrix.sum(axis=1), matrix.sum(axis=0)
    recalls = np.diag(matrix)[true > 0] / true[true > 0]
    values: Values = {
        ("accuracy", None): hits / total,
        ("balanced_accuracy", None): float(recalls.mean()),
    }
    true_spread = total**2 - int((true**2).sum())
    if true_spread:
        spread = true_spread * (total**2 - int((chosen**2).sum()))
        covariance = hits * total - int((true * chosen).sum())
        values["mcc", None] = covariance / float(spread) ** 0.5 if spread else 0.0
    return values
