"""One fold as rows and back: predictions, metrics, curves and confusion counts.

Every function takes an open connection; the writing ones are called inside a transaction.
"""

from __future__ import annotations

import json
import sqlite3
from itertools import repeat
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from backend.errors import StoreError
from backend.store.bundle import CurvePoint, MetricValue, Predictions
from backend.store.insert import insert_rows
from backend.store.rows import finite

T = TypeVar("T", bound=np.generic)

FOLD_TABLES = (
    "run_fold",
    "curve",
    "metric",
    "prediction",
    "defect_confusion",
    "class_confusion",
    "embedding",
    "attribution",
    "artifact",
)
"""Tables whose rows belong to one fold of one run."""


def delete_fold(connection: sqlite3.Connection, run_id: str, fold: int) -> None:
    """Forget everything that one fold produced."""
    for table in FOLD_TABLES:
        connection.execute(
            f"DELETE FROM {table} WHERE run_id = ? AND fold = ?",  # noqa: S608 - our own table names
            (run_id, fold),
        )


def insert_predictions(
    connection: sqlite3.Connection, run_id: str, fold: int, predictions: Predictions
) -> None:
    """Store the held-out predictions of a fold, one row a fruit and defect.

    Raises:
        StoreError: a score is not a finite number.
    """
    if not np.isfinite(predictions.score).all():
        row, column = (int(index[0]) for index in np.nonzero(~np.isfinite(predictions.score)))
        raise StoreError(
            f"the score of fruit {predictions.fruit_ids[row]!r} for {predictions.defects[column]!r} "
            "is not a number",
            where=f"run {run_id}, fold {fold}",
            expected="finite scores",
        )
    for column, defect in enumerate(predictions.defects):
        insert_rows(
            connection,
            "prediction",
            ("run_id", "fold", "defect", "fruit_id", "y_true", "score", "y_pred"),
            zip(
                repeat(run_id),
                repeat(fold),
                repeat(defect),
                predictions.fruit_ids,
                predictions.y_true[:, column].tolist(),  # SQLite takes NaN for NULL
                predictions.score[:, column].tolist(),  # float32 is exact in SQLite's 64 bits
                predictions.y_pred[:, column].tolist(),
                strict=False,
            ),
        )


def load_predictions(connection: sqlite3.Connection, run_id: str, fold: int | None = None) -> Predictions:
    """The predictions of a run, bit for bit as they were written.

    Fruit come fold by fold in the order of the manifest, defects in the order of the data set.

    Args:
        connection: an open store.
        run_id: the run.
        fold: one fold; None = all, pooled.

    Returns:
        n fruit by D defects; (0, 0) where the run has no held-out predictions (pretraining, tuning).

    Raises:
        StoreError: some fruit lack a defect.
    """
    rows = connection.execute(
        "SELECT p.fruit_id, p.defect, p.y_true, p.score, p.y_pred FROM prediction AS p "
        "JOIN run AS r USING (run_id) "
        "LEFT JOIN fruit AS f ON f.dataset_id = r.dataset_id AND f.fruit_id = p.fruit_id "
        "WHERE p.run_id = :run_id AND (:fold IS NULL OR p.fold = :fold) "
        "ORDER BY p.fold, f.position, p.fruit_id, p.defect",
        {"run_id": run_id, "fold": fold},
    ).fetchall()
    where = f"run {run_id}" + ("" if fold is None else f", fold {fold}")
    stored = sorted({row[1] for row in rows})
    ids, defects = [row[0] for row in rows], [row[1] for row in rows]
    width = max(len(stored), 1)
    if defects != stored * (len(rows) // width) or any(
        name != ids[k // width * width] for k, name in enumerate(ids)
    ):
        raise StoreError(
            "predictions are missing for some fruit and defects",
            where=where,
            action="run `python -m backend.store doctor`",
        )
    names = _defect_order(connection, run_id, stored)
    columns = [stored.index(name) for name in names]

    def matrix(column: int, dtype: type[T]) -> NDArray[T]:
        values = [np.nan if row[column] is None else row[column] for row in rows]
        return np.ascontiguousarray(np.array(values, dtype=dtype).reshape(-1, width)[:, columns])

    return Predictions(
        fruit_ids=tuple(ids[::width]),
        defects=tuple(names),
        y_true=matrix(2, np.float32),
        score=matrix(3, np.float32),
        y_pred=matrix(4, np.uint8),
    )


def _defect_order(connection: sqlite3.Connection, run_id: str, stored: list[str]) -> list[str]:
    """``stored`` in the order of the data set; names it does not know come last."""
    row = connection.execute(
        "SELECT d.spec FROM dataset AS d JOIN run USING (dataset_id) WHERE run_id = ?", (run_id,)
    ).fetchone()
    known = [str(defect["name"]) for defect in json.loads(row[0])["defects"]] if row else []
    return sorted(stored, key=lambda name: (known.index(name) if name in known else len(known), name))


def insert_metrics(
    connection: sqlite3.Connection, run_id: str, fold: int | None, metrics: tuple[MetricValue, ...]
) -> None:
    """Store metrics of one fold, or of the whole run (``fold`` None), replacing what was there."""
    connection.execute("DELETE FROM metric WHERE run_id = ? AND fold IS ?", (run_id, fold))
    insert_rows(
        connection,
        "metric",
        ("run_id", "fold", "defect", "metric", "value", "ci_low", "ci_high", "reason"),
        (
            (run_id, fold, m.defect, m.metric, finite(m.value), finite(m.ci_low), finite(m.ci_high), m.reason)
            for m in metrics
        ),
    )


def insert_curves(
    connection: sqlite3.Connection, run_id: str, fold: int, curves: tuple[CurvePoint, ...]
) -> None:
    """Store the training curves of one fold; values that are not finite become NULL."""
    insert_rows(
        connection,
        "curve",
        ("run_id", "fold", "epoch", "split", "metric", "value"),
        ((run_id, fold, int(p.epoch), p.split, p.metric, finite(p.value)) for p in curves),
    )


def count_confusions(connection: sqlite3.Connection, run_id: str, fold: int) -> None:
    """Count the confusion matrices of one fold from its predictions, replacing what was there.

    Per defect always; classes against classes where the data set is multiclass.
    """
    _forget_confusions(connection, run_id, fold)
    connection.execute(
        "INSERT INTO defect_confusion (run_id, fold, defect, tp, fp, fn, tn) "
        "SELECT run_id, fold, defect, SUM(y_true = 1 AND y_pred = 1), SUM(y_true = 0 AND y_pred = 1), "
        "SUM(y_true = 1 AND y_pred = 0), SUM(y_true = 0 AND y_pred = 0) FROM prediction "
        "WHERE run_id = ? AND fold = ? AND y_true IS NOT NULL GROUP BY defect",
        (run_id, fold),
    )
    task = connection.execute(
        "SELECT task FROM dataset JOIN run USING (dataset_id) WHERE run_id = ?", (run_id,)
    ).fetchone()
    if task and task[0] == "multiclass":
        # Materialised, or the planner joins each fruit with all rows of the run.
        connection.execute(
            "WITH truth AS MATERIALIZED (SELECT fruit_id, defect FROM prediction "
            "    WHERE run_id = :run_id AND fold = :fold AND y_true = 1), "
            "chosen AS MATERIALIZED (SELECT fruit_id, defect FROM prediction "
            "    WHERE run_id = :run_id AND fold = :fold AND y_pred = 1) "
            "INSERT INTO class_confusion (run_id, fold, true_class, predicted_class, n) "
            "SELECT :run_id, :fold, truth.defect, chosen.defect, COUNT(*) "
            "FROM truth JOIN chosen USING (fruit_id) GROUP BY truth.defect, chosen.defect",
            {"run_id": run_id, "fold": fold},
        )


def pool_confusions(connection: sqlite3.Connection, run_id: str) -> None:
    """Sum the confusion matrices of all folds into the cumulative ones (``fold`` NULL)."""
    _forget_confusions(connection, run_id, None)
    connection.execute(
        "INSERT INTO defect_confusion (run_id, fold, defect, tp, fp, fn, tn) "
        "SELECT run_id, NULL, defect, SUM(tp), SUM(fp), SUM(fn), SUM(tn) FROM defect_confusion "
        "WHERE run_id = ? AND fold IS NOT NULL GROUP BY defect",
        (run_id,),
    )
    connection.execute(
        "INSERT INTO class_confusion (run_id, fold, true_class, predicted_class, n) "
        "SELECT run_id, NULL, true_class, predicted_class, SUM(n) FROM class_confusion "
        "WHERE run_id = ? AND fold IS NOT NULL GROUP BY true_class, predicted_class",
        (run_id,),
    )


def _forget_confusions(connection: sqlite3.Connection, run_id: str, fold: int | None) -> None:
    connection.execute("DELETE FROM defect_confusion WHERE run_id = ? AND fold IS ?", (run_id, fold))
    connection.execute("DELETE FROM class_confusion WHERE run_id = ? AND fold IS ?", (run_id, fold))
