"""The numbers of one run against its predictions: confusion matrices, metrics, folds."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from backend.errors import StoreError
from backend.store.bundle import Predictions
from backend.store.folds import load_predictions
from backend.store.problems import Problem
from backend.store.recompute import COUNTED, RANKED, recompute

TOLERANCE = 1e-6
"""How far a stored metric may lie from the one recomputed from the predictions."""

Confusions = Counter[tuple[str, ...]]
"""(defect, cell) or (true class, predicted class) to number of fruit, empty cells left out."""


@dataclass(frozen=True)
class _Run:
    run_id: str
    task: str
    complete: bool
    fold_of: dict[str, int]


def audit_run(connection: sqlite3.Connection, run_id: str) -> Iterator[Problem]:
    """Everything about one run's numbers that does not follow from its predictions.

    Args:
        connection: an open store.
        run_id: a run with predictions.
    """
    row = connection.execute(
        "SELECT d.task, r.status, s.folds FROM run AS r JOIN dataset AS d USING (dataset_id) "
        "JOIN study AS s USING (study_id) WHERE run_id = ?",
        (run_id,),
    ).fetchone()
    if row is None:
        return  # the foreign key check has said so
    run = _Run(run_id, row[0], row[1] == "complete", json.loads(row[2]))
    try:
        parts = _predictions(connection, run_id)
    except StoreError as error:
        yield Problem("metric", f"run {run_id}", error.found)
        return
    yield from _audit_folds(run, parts)
    yield from _audit_confusions(connection, run, parts)
    yield from _audit_metrics(connection, run, parts)


def _predictions(connection: sqlite3.Connection, run_id: str) -> dict[int | None, Predictions]:
    """Fold to predictions, and all of them under None."""
    folds = [
        row[0]
        for row in connection.execute(
            "SELECT DISTINCT fold FROM prediction WHERE run_id = ? ORDER BY fold", (run_id,)
        )
    ]
    return {fold: load_predictions(connection, run_id, fold) for fold in (*folds, None)}


def _audit_folds(run: _Run, parts: dict[int | None, Predictions]) -> Iterator[Problem]:
    for fold, predictions in parts.items():
        if fold is None or not run.fold_of:
            continue
        strays = [name for name in predictions.fruit_ids if run.fold_of.get(name) != fold]
        if strays:
            yield Problem(
                "fold",
                f"run {run.run_id}",
                f"fold {fold} predicts {len(strays)} fruit of other folds, {strays[0]!r} first",
            )


def _audit_confusions(
    connection: sqlite3.Connection, run: _Run, parts: dict[int | None, Predictions]
) -> Iterator[Problem]:
    stored = _stored_confusions(connection, run.run_id)
    for fold, predictions in parts.items():
        if fold is None and not run.complete:
            continue
        if stored.get(fold, Counter()) != _count(predictions, run.task):
            yield Problem(
                "confusion",
                f"run {run.run_id}",
                f"the confusion matrices {_place(fold)} are not those of the predictions",
                "count them again",
            )


def _stored_confusions(connection: sqlite3.Connection, run_id: str) -> dict[int | None, Confusions]:
    stored: dict[int | None, Confusions] = {}
    for fold, defect, *cells in connection.execute(
        "SELECT fold, defect, tp, fp, fn, tn FROM defect_confusion WHERE run_id = ?", (run_id,)
    ):
        counts = stored.setdefault(fold, Counter())
        counts.update({(defect, cell): n for cell, n in zip("abcd", cells, strict=True) if n})
    for fold, truth, called, n in connection.execute(
        "SELECT fold, true_class, predicted_class, n FROM class_confusion WHERE run_id = ?", (run_id,)
    ):
        stored.setdefault(fold, Counter())["class", truth, called] += n
    return stored


def _count(predictions: Predictions, task: str) -> Confusions:
    counts: Confusions = Counter()
    for column, defect in enumerate(predictions.defects):
        truth, called = predictions.y_true[:, column], predictions.y_pred[:, column] == 1
        cells = (
            (truth == 1) & called,
            (truth == 0) & called,
            (truth == 1) & ~called,
            (truth == 0) & ~called,
        )
        counts.update(
            {(defect, cell): int(n.sum()) for cell, n in zip("abcd", cells, strict=True) if n.any()}
        )
    if task == "multiclass":
        known = (predictions.y_true == 1).any(axis=1) & (predictions.y_pred == 1).any(axis=1)
        names = predictions.defects
        for truth, called in zip(
            predictions.y_true[known].argmax(axis=1), predictions.y_pred[known].argmax(axis=1), strict=True
        ):
            counts["class", names[truth], names[called]] += 1
    return counts


def _audit_metrics(
    connection: sqlite3.Connection, run: _Run, parts: dict[int | None, Predictions]
) -> Iterator[Problem]:
    expected = {fold: recompute(predictions, run.task) for fold, predictions in parts.items()}
    for fold, defect, metric, value in connection.execute(
        "SELECT fold, defect, metric, value FROM metric WHERE run_id = ? ORDER BY fold, defect, metric",
        (run.run_id,),
    ):
        right = expected.get(fold, {}).get((metric, defect))
        if metric not in (*COUNTED, *RANKED) or right is None or (fold is None and not run.complete):
            continue
        if value is None or not np.isclose(value, right, rtol=0, atol=TOLERANCE):
            about = "" if defect is None else f" of {defect!r}"
            yield Problem(
                "metric",
                f"run {run.run_id}",
                f"{metric}{about} {_place(fold)} is {value}, the predictions give {right:.9g}",
            )


def _place(fold: int | None) -> str:
    return "over all folds" if fold is None else f"of fold {fold}"
