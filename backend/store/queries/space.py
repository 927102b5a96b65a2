"""Feature space: where the fruit lie, who their neighbours are, and what is known of each of them."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from backend.store.queries._frame import frame, runs_with

if TYPE_CHECKING:
    import pandas as pd


def projected_runs(connection: sqlite3.Connection, dataset_id: str, study_id: str = "") -> pd.DataFrame:
    """Complete runs whose features were projected; see ``runs_with``."""
    return runs_with(connection, "embedding", dataset_id, study_id)


def projections(connection: sqlite3.Connection, run_id: str) -> list[str]:
    """Names of the projections of a run, such as ``pca``, ``umap``, ``tsne`` and ``tsne_5``."""
    sql = "SELECT DISTINCT projection FROM embedding WHERE run_id = ? ORDER BY projection"
    return [str(row[0]) for row in connection.execute(sql, (run_id,))]


def points(connection: sqlite3.Connection, run_id: str, projection: str) -> pd.DataFrame:
    """Where every fruit lies in a projection.

    Returns:
        fruit_id, x, y (no unit), fold (whose model it shows, None = one model for all).
    """
    sql = "SELECT fruit_id, x, y, fold FROM embedding WHERE run_id = ? AND projection = ? ORDER BY fruit_id"
    return frame(connection, sql, (run_id, projection))


def neighbours(connection: sqlite3.Connection, run_id: str) -> pd.DataFrame:
    """The nearest fruit of every fruit, nearest first.

    Returns:
        fruit_id, rank (from 1), neighbour_id, similarity (cosine, -1 to 1).
    """
    sql = (
        "SELECT fruit_id, rank, neighbour_id, similarity FROM neighbour WHERE run_id = ?"
        " ORDER BY fruit_id, rank"
    )
    return frame(connection, sql, (run_id,))


def fruit_facts(connection: sqlite3.Connection, dataset_id: str) -> pd.DataFrame:
    """What is known of every fruit of a data set, in the order of its manifest.

    Returns:
        fruit_id, fruit_group, labels and pressures (both JSON text).
    """
    sql = (
        "SELECT fruit_id, fruit_group, labels, pressures FROM fruit WHERE dataset_id = ?"
        " ORDER BY position, fruit_id"
    )
    return frame(connection, sql, (dataset_id,))
