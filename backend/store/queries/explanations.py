"""Heat maps: which runs are explained, where the pictures of their explanations lie, and their scores."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from backend.store.queries._frame import frame, runs_with

if TYPE_CHECKING:
    import pandas as pd


def explained_runs(connection: sqlite3.Connection, dataset_id: str, study_id: str = "") -> pd.DataFrame:
    """Complete runs with heat maps; see ``runs_with``."""
    return runs_with(connection, "attribution", dataset_id, study_id)


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
