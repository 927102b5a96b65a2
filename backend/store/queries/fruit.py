"""Predictions fruit by fruit, and the fruit behind them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import TYPE_CHECKING

from backend.store.queries._frame import frame, json_list

if TYPE_CHECKING:
    import pandas as pd


def predictions(connection: sqlite3.Connection, run_id: str) -> pd.DataFrame:
    """Every held-out prediction of a run.

    Returns:
        fold, fruit_id, defect, y_true (1, 0 or None), score (0 to 1), y_pred (1 or 0).
    """
    sql = "SELECT fold, fruit_id, defect, y_true, score, y_pred FROM prediction WHERE run_id = ?"
    return frame(connection, sql, (run_id,))


def fruit(connection: sqlite3.Connection, dataset_id: str, fruit_ids: Iterable[str]) -> pd.DataFrame:
    """What is known of some fruit, in the order asked for.

    Returns:
        fruit_id, fruit_group, labels, pressures, images (the last three JSON text).
    """
    return frame(
        connection,
        """
        SELECT f.fruit_id, f.fruit_group, f.labels, f.pressures, f.images
        FROM json_each(:ids) wanted
        JOIN fruit f ON f.dataset_id = :dataset_id AND f.fruit_id = wanted.value
        ORDER BY wanted.key
        """,
        {"dataset_id": dataset_id, "ids": json_list(fruit_ids)},
    )


def pressure_quantiles(connection: sqlite3.Connection, dataset_id: str) -> pd.DataFrame:
    """The population that one fruit's pressure is read against.

    Returns:
        reading, low (5 %), middle (50 %), high (95 %), lowest, highest, n.
    """
    return frame(
        connection,
        """
        WITH reading AS (
            SELECT p.key AS reading, p.value AS value,
                   ROW_NUMBER() OVER (PARTITION BY p.key ORDER BY p.value) AS place,
                   COUNT(*) OVER (PARTITION BY p.key) AS n
            FROM fruit, json_each(fruit.pressures) AS p
            WHERE fruit.dataset_id = ? AND p.value IS NOT NULL
        )
        SELECT reading,
               MIN(CASE WHEN place >= 0.05 * n THEN value END) AS low,
               MIN(CASE WHEN place >= 0.5 * n THEN value END) AS middle,
               MIN(CASE WHEN place >= 0.95 * n THEN value END) AS high,
               MIN(value) AS lowest, MAX(value) AS highest, MAX(n) AS n
        FROM reading GROUP BY reading ORDER BY reading
        """,
        (dataset_id,),
    )
