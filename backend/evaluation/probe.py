"""Linear probe: what a logistic regression can read from frozen features.

Features are standardised on the training part; the strength of the L2 penalty is chosen on inner validation
by MCC, for each defect of a multilabel data set on its own, and so are its thresholds. The model is not
fitted again on training and validation together: the thresholds belong to the one that was validated.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.data.dataset import MULTICLASS
from backend.evaluation.counts import COUNT_METRICS, group_counts, multiclass_mcc
from backend.evaluation.features import Features, Outcome, Part
from backend.evaluation.thresholds import apply_thresholds, choose_threshold, one_hot_best

GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Inverse penalties tried, strongest first: of equally good ones the strongest is taken."""

MAX_ITERATIONS = 300
UNKNOWN = 0.5


def linear_probe(
    train: Part, val: Part, query: Features, *, task: str, grid: tuple[float, ...] = GRID
) -> Outcome:
    """Fit on the training part, choose on inner validation, score and decide query fruit.

    Args:
        train: features and labels of the training part; each defect is fitted on the fruit labelled for it.
        val: of inner validation.
        query: (m, F) features of the held-out fruit.
        task: ``multilabel`` or ``multiclass``.
        grid: values of C, rising.

    Returns:
        Scores, decisions, thresholds, the chosen C and the scores of inner validation. A defect that the
        training part has one class of scores 0 or 1 throughout (0.5 without any label).
    """
    mean = train.features.mean(axis=0)
    spread = train.features.std(axis=0)
    spread[spread == 0] = 1
    standard = [((part - mean) / spread).astype(np.float32) for part in (train.features, val.features, query)]
    if task == MULTICLASS:
        return _multiclass(standard, train, val, grid)
    n_defects = train.labels.shape[1]
    columns = [_binary(standard, train.labels[:, j], val.labels[:, j], grid) for j in range(n_defects)]
    score, validation = (np.stack([column[i] for column in columns], axis=1) for i in (0, 1))
    thresholds = np.array([column[2] for column in columns])
    notes = tuple((f"probe_c[{j}]", f"{column[3]:g}") for j, column in enumerate(columns))
    return Outcome(score, apply_thresholds(score, thresholds), thresholds, notes, validation)


def _multiclass(standard: list[Features], train: Part, val: Part, grid: tuple[float, ...]) -> Outcome:
    x, val_x, query = standard
    rows, val_rows = (part.labels == 1 for part in (train, val))
    keep, n_classes = rows.any(axis=1), rows.shape[1]
    classes = rows[keep].argmax(axis=1)
    best, validated = (np.full((len(part), n_classes), 1 / n_classes, np.float32) for part in (query, val_x))
    best_mcc, best_c = -np.inf, np.nan
    for c, model in _path(x[keep], classes, grid):
        on_val = _spread_out(model, val_x, n_classes)
        called = one_hot_best(on_val)
        counts = group_counts(_truth(val_rows), called, np.zeros(len(called), np.intp), 1)[0]
        mcc = np.nan_to_num(multiclass_mcc(counts), nan=-1.0)
        if mcc > best_mcc:
            best, validated = _spread_out(model, query, n_classes), on_val
            best_mcc, best_c = float(mcc), c
    if len(np.unique(classes)) == 1:
        only = np.eye(n_classes, dtype=np.float32)[classes[0]]
        best, validated = (np.tile(only, (len(part), 1)) for part in (query, val_x))
    notes = (("probe_c", f"{best_c:g}"),)
    return Outcome(best, one_hot_best(best), np.full(n_classes, np.nan), notes, validated)


def _truth(rows: NDArray[np.bool_]) -> NDArray[np.float32]:
    return np.where(rows.any(axis=1, keepdims=True), rows, np.nan).astype(np.float32)


def _spread_out(model: Any, x: Features, n_classes: int) -> NDArray[np.float32]:
    """Class probabilities (m, C), 0 for classes that the training part lacks."""
    score = np.zeros((len(x), n_classes), np.float32)
    score[:, model.classes_] = model.predict_proba(x)
    return score


def _binary(
    standard: list[Features],
    labels: NDArray[np.float32],
    val_labels: NDArray[np.float32],
    grid: tuple[float, ...],
) -> tuple[NDArray[np.float32], NDArray[np.float32], float, float]:
    """Scores (m,), those of inner validation (v,), threshold and C of one defect."""
    x, val_x, query = standard
    keep, val_keep = ~np.isnan(labels), ~np.isnan(val_labels)
    classes = labels[keep].astype(np.intp)
    if len(np.unique(classes)) < 2:
        constant = UNKNOWN if not len(classes) else float(classes[0])
        on_query, on_val = (np.full(len(part), constant, np.float32) for part in (query, val_x))
        return on_query, on_val, UNKNOWN, np.nan
    best: tuple[NDArray[np.float32], NDArray[np.float32], float, float] | None = None
    best_mcc = -np.inf
    one_group = np.zeros(int(val_keep.sum()), np.intp)
    for c, model in _path(x[keep], classes, grid):
        on_val = _positive(model, val_x)
        score = on_val[val_keep]
        threshold = choose_threshold(val_labels[val_keep], score)
        called = apply_thresholds(score[:, None], np.array([threshold]))
        mcc = COUNT_METRICS["mcc"](group_counts(val_labels[val_keep][:, None], called, one_group, 1))[0, 0]
        if np.nan_to_num(mcc, nan=-1.0) > best_mcc:
            best_mcc = float(np.nan_to_num(mcc, nan=-1.0))
            best = _positive(model, query), on_val, threshold, c
    assert best is not None, "the grid is empty"
    return best


def _positive(model: Any, x: Features) -> NDArray[np.float32]:
    if not len(x):
        return np.zeros(0, np.float32)
    score: NDArray[np.float32] = model.predict_proba(x)[:, 1].astype(np.float32)
    return score


def _path(x: Features, classes: NDArray[np.intp], grid: tuple[float, ...]) -> Any:
    """(C, fitted model) along the grid, each fit started from the last; nothing for a single class."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(classes)) < 2:
        return
    model = LogisticRegression(max_iter=MAX_ITERATIONS, warm_start=True)
    for c in grid:
        with warnings.catch_warnings():
            # With a weak penalty the last digits of the weights never settle; validation judges the fit.
            warnings.simplefilter("ignore", ConvergenceWarning)
            yield c, model.set_params(C=c).fit(x, classes)
