"""What was found: finished runs, their metrics, their confusion matrices, and tests between two of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import TYPE_CHECKING

from backend.store.queries._frame import frame, json_list

if TYPE_CHECKING:
    import pandas as pd


def scored_runs(
    connection: sqlite3.Connection,
    dataset_id: str,
    study_id: str = "",
    purposes: Iterable[str] = ("final",),
) -> pd.DataFrame:
    """Complete runs with held-out predictions, in the order they were started.

    Args:
        connection: of the store.
        dataset_id: their data set.
        study_id: their study; empty = any.
        purposes: why they were run.

    Returns:
        run_id, study_id, parent_run_id, name, kind, purpose, method, backbone, init, modalities (JSON text),
        label_fraction, seed, transductive, started, finished, git_commit, and twin: how many earlier runs
        of the study have the same name and seed.
    """
    return frame(
        connection,
        """
        SELECT r.run_id, r.study_id, r.parent_run_id, r.name, r.kind, r.purpose, r.method, r.backbone, r.init,
               r.modalities, r.label_fraction, r.seed, r.transductive, r.started, r.finished, r.git_commit,
               ROW_NUMBER() OVER (PARTITION BY r.study_id, r.name, r.seed ORDER BY r.started, r.run_id) - 1
                   AS twin
        FROM json_each(:purposes) asked
        CROSS JOIN run r ON r.dataset_id = :dataset_id AND r.status = 'complete' AND r.purpose = asked.value
        WHERE (:study_id = '' OR r.study_id = :study_id) AND r.kind <> 'pretrain'
          AND EXISTS (SELECT 1 FROM prediction p WHERE p.run_id = r.run_id)
        ORDER BY r.started, r.run_id
        """,
        {"dataset_id": dataset_id, "study_id": study_id, "purposes": json_list(sorted(set(purposes)))},
    )


def pooled_metrics(
    connection: sqlite3.Connection, run_ids: Iterable[str], metrics: Iterable[str]
) -> pd.DataFrame:
    """Metrics computed from the held-out predictions of all folds together.

    Returns:
        run_id, metric, defect (None = over all), value (None = undefined), ci_low, ci_high, reason.
    """
    return frame(
        connection,
        """
        SELECT m.run_id, m.metric, m.defect, m.value, m.ci_low, m.ci_high, m.reason
        FROM json_each(:runs) run CROSS JOIN json_each(:metrics) name
        JOIN metric m ON m.run_id = run.value AND m.metric = name.value
        WHERE m.fold IS NULL
        """,
        {"runs": json_list(run_ids), "metrics": json_list(metrics)},
    )


def run_metrics(connection: sqlite3.Connection, run_id: str) -> pd.DataFrame:
    """Every metric of one run.

    Returns:
        fold (None = pooled), defect (None = over all), metric, value (None = undefined), ci_low, ci_high,
        reason.
    """
    return frame(
        connection,
        "SELECT fold, defect, metric, value, ci_low, ci_high, reason FROM metric WHERE run_id = ?"
        " ORDER BY defect, metric, fold",
        (run_id,),
    )


def defect_confusion(connection: sqlite3.Connection, run_id: str, fold: int | None = None) -> pd.DataFrame:
    """Right and wrong decisions for each defect, summed over the folds that are finished.

    Args:
        connection: of the store.
        run_id: the run.
        fold: one fold only; None = all of them together.

    Returns:
        defect, tp, fp, fn, tn.
    """
    return frame(
        connection,
        """
        SELECT defect, SUM(tp) AS tp, SUM(fp) AS fp, SUM(fn) AS fn, SUM(tn) AS tn
        FROM defect_confusion
        WHERE run_id = :run_id AND fold IS NOT NULL AND (:fold IS NULL OR fold = :fold)
        GROUP BY defect
        """,
        {"run_id": run_id, "fold": fold},
    )


def class_confusion(connection: sqlite3.Connection, run_id: str, fold: int | None = None) -> pd.DataFrame:
    """How often each true class was given each class, summed over the folds that are finished.

    Returns:
        true_class, predicted_class, n.
    """
    return frame(
        connection,
        """
        SELECT true_class, predicted_class, SUM(n) AS n
        FROM class_confusion
        WHERE run_id = :run_id AND fold IS NOT NULL AND (:fold IS NULL OR fold = :fold)
        GROUP BY true_class, predicted_class
        """,
        {"run_id": run_id, "fold": fold},
    )


def comparisons(connection: sqlite3.Connection, run_id_a: str, run_id_b: str) -> pd.DataFrame:
    """Tests between two runs, whichever way round they were stored, as b minus a.

    Returns:
        defect (None = over all), metric, delta, ci_low, ci_high, p_value, p_adjusted, test, n, verdict,
        n_needed.
    """
    return frame(
        connection,
        """
        SELECT defect, metric, delta, ci_low, ci_high, p_value, p_adjusted, test, n, verdict, n_needed
        FROM comparison WHERE run_id_a = :a AND run_id_b = :b
        UNION ALL
        SELECT defect, metric, -delta, -ci_high, -ci_low, p_value, p_adjusted, test, n,
               CASE verdict WHEN 'better' THEN 'worse' WHEN 'worse' THEN 'better' ELSE verdict END, n_needed
        FROM comparison WHERE run_id_a = :b AND run_id_b = :a
        """,
        {"a": run_id_a, "b": run_id_b},
    )


def comparability(connection: sqlite3.Connection, run_id_a: str, run_id_b: str) -> list[str]:
    """Why two runs must not be compared; an empty list where they may.

    Comparable means: the same data set and labels, the same outer folds, the same fruit predicted, and
    neither pretrained on test fruit.

    Returns:
        Reason codes of ``dataset, labels, folds, fruit, transductive``; ``unknown`` where a run is missing.
    """
    rows = connection.execute(
        """
        SELECT r.run_id, r.dataset_id, d.label_version, s.fold_version, r.transductive,
               (SELECT COUNT(*) FROM prediction p WHERE p.run_id = r.run_id) AS predicted
        FROM run r JOIN study s ON s.study_id = r.study_id JOIN dataset d ON d.dataset_id = r.dataset_id
        WHERE r.run_id IN (?, ?)
        """,
        (run_id_a, run_id_b),
    ).fetchall()
    if len(rows) < len({run_id_a, run_id_b}):
        return ["unknown"]
    a, b = rows[0], rows[-1]
    differs = {
        "dataset": a["dataset_id"] != b["dataset_id"],
        "labels": a["label_version"] != b["label_version"],
        "folds": a["fold_version"] != b["fold_version"],
        "fruit": a["predicted"] != b["predicted"],
        "transductive": bool(a["transductive"] or b["transductive"]),
    }
    return [reason for reason, wrong in differs.items() if wrong]
