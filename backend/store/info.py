"""What is in a store, at a glance."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from backend.store.connection import as_store_error, open_readonly, stored_version
from backend.store.integrity import row_counts
from backend.store.locking import lock_holder
from backend.store.summary import summarise_study


def describe(path: Path) -> dict[str, Any]:
    """Facts about a store as JSON types.

    Args:
        path: the store.

    Returns:
        ``store``, ``schema_version``, ``bytes``, ``writer`` (pid, host and purpose, or None), ``datasets``,
        ``studies`` (each with its summary), ``artifacts`` (files, bytes) and ``rows`` (a table).

    Raises:
        StoreError: it is missing, foreign, corrupt, or of another schema version.
    """
    with closing(open_readonly(path)) as connection:
        try:
            connection.execute("BEGIN")
            return _facts(connection, path)
        except sqlite3.Error as error:
            raise as_store_error(error, path) from error


def _facts(connection: sqlite3.Connection, path: Path) -> dict[str, Any]:
    datasets = connection.execute(
        "SELECT dataset_id, name, task, synthetic, n_fruits, n_labelled FROM dataset "
        "ORDER BY name, dataset_id"
    )
    studies = connection.execute(
        "SELECT study_id, name, dataset_id, metric, status, started, finished FROM study ORDER BY started"
    ).fetchall()
    files, size = connection.execute("SELECT COUNT(*), COALESCE(SUM(bytes), 0) FROM artifact").fetchone()
    return {
        "store": str(path),
        "schema_version": stored_version(connection, path),
        "bytes": path.stat().st_size,
        "writer": lock_holder(path),
        "datasets": [dict(row) for row in datasets],
        "studies": [dict(row) | summarise_study(connection, row["study_id"]) for row in studies],
        "artifacts": {"files": files, "bytes": size},
        "rows": row_counts(connection),
    }
