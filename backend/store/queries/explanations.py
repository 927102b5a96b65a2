"""Heat maps: which runs are explained, where the pictures of their explanations lie, and their scores."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from backend.store.queries._frame import frame

if TYPE_CHECKING:
    import pandas as pd


def explained_runs(connection: sqlite3.Connection, dataset_id: str, study_id: str = "") -> pd.DataFrame:
    """Complete runs with heat maps, in the order they were started.

    Args:
        connection: of the store.
        dataset_id: their data set.
        study_id: their study; empty = any.

    Returns:
        run_id, name, kind, method, modalities (JSON text), seed, finished, git_commit, twin (how many earlier
        ones have the same name and seed).
    """
    return frame(
        connection,
        """
        SELECT r.run_id, r.name, r.kind, r.method, r.modalities, r.seed, r.finished, r.git_commit,
               ROW_NUMBER() OVER (PARTITION BY r.name, r.seed ORDER BY r.started, r.run_id) - 1 AS twin
        FROM run r
        WHERE r.dataset_id = :dataset_id AND (:study_id = '' OR r.study_id = :study_id)
          AND r.status = 'complete'
          AND EXISTS (SELECT 1 FROM attribution a WHERE a.run_id = r.run_id)
        ORDER BY r.started, r.run_id
        """,
        {"dataset_id": dataset_id, "study_id": study_id},
    )


def attributions(connection: sqlite3.Connection, run_id: str) -> pd.DataFrame:
    """Every heat map of a run, with what the run said of its fruit.

    Returns:
        fruit_id, defect, modality, view, path (relative to the store), outcome (``tp``, ``fp``, ``fn``,
        ``tn`` or empty), score (None = unknown), pointing (1 = the hottest point lies on the defect; None =
        no mask) and fruit_group.
    """
    return frame(
        connection,
        """
        SELECT a.fruit_id, a.defect, a.modality, a.view, a.path,
               COALESCE(CASE WHEN json_valid(a.scores) THEN a.scores ->> '$.outcome' END, '') AS outcome,
               CASE WHEN json_valid(a.scores) THEN a.scores ->> '$.score' END AS score,
               CASE WHEN json_valid(a.scores) THEN a.scores ->> '$.pointing' END AS pointing,
               COALESCE(f.fruit_group, '') AS fruit_group
        FROM attribution a
        JOIN run r ON r.run_id = a.run_id
        LEFT JOIN fruit f ON f.dataset_id = r.dataset_id AND f.fruit_id = a.fruit_id
        WHERE a.run_id = ?
        ORDER BY a.fruit_id, a.defect, a.modality, a.view
        """,
        (run_id,),
    )
