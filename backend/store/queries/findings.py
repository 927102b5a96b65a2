"""What is odd about a data set, and what it is made of: pairs of defects, groups, and sensors."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from backend.store.queries._frame import frame

if TYPE_CHECKING:
    import pandas as pd


def findings(connection: sqlite3.Connection, dataset_id: str) -> pd.DataFrame:
    """Everything that the data report found, the strongest of each kind first.

    Returns:
        kind, subject, fruit_id, other_id, value (see ``docs/stored-results.md``), detail (JSON text), run_id
        (whose predictions or features say so; None = nobody's).
    """
    return frame(
        connection,
        """
        SELECT kind, subject, fruit_id, other_id, value, detail, run_id
        FROM finding WHERE dataset_id = ?
        ORDER BY kind, CASE WHEN kind IN ('duplicate', 'label_conflict') THEN value ELSE -ABS(value) END,
                 subject, fruit_id, other_id
        """,
        (dataset_id,),
    )


def co_occurrence(connection: sqlite3.Connection, dataset_id: str) -> pd.DataFrame:
    """How often two defects are found on one fruit.

    Returns:
        a, b, n (fruit with both; with a = b those with the defect).
    """
    return frame(
        connection,
        """
        WITH ill AS (
            SELECT fruit.fruit_id, label.key AS defect
            FROM fruit, json_each(fruit.labels) AS label
            WHERE fruit.dataset_id = ? AND label.value = 1
        )
        SELECT a.defect AS a, b.defect AS b, COUNT(*) AS n
        FROM ill a JOIN ill b USING (fruit_id)
        GROUP BY a.defect, b.defect
        """,
        (dataset_id,),
    )


def groups(connection: sqlite3.Connection, dataset_id: str) -> pd.DataFrame:
    """How common each defect is in each group.

    Returns:
        fruit_group, defect, positives, labelled.
    """
    return frame(
        connection,
        """
        SELECT fruit.fruit_group, label.key AS defect, COALESCE(SUM(label.value), 0) AS positives,
               COUNT(label.value) AS labelled
        FROM fruit, json_each(fruit.labels) AS label
        WHERE fruit.dataset_id = ?
        GROUP BY fruit.fruit_group, label.key
        """,
        (dataset_id,),
    )


def inputs(connection: sqlite3.Connection, dataset_id: str) -> pd.DataFrame:
    """How many fruit have each picture and each reading.

    Returns:
        sensor (a modality, or ``pressure``), part (a view or a reading), present.
    """
    return frame(
        connection,
        """
        SELECT sensor.key AS sensor, view.key AS part, COUNT(*) AS present
        FROM fruit, json_each(fruit.images) AS sensor, json_each(sensor.value) AS view
        WHERE fruit.dataset_id = :dataset_id AND view.value <> ''
        GROUP BY sensor.key, view.key
        UNION ALL
        SELECT 'pressure', reading.key, COUNT(reading.value)
        FROM fruit, json_each(fruit.pressures) AS reading
        WHERE fruit.dataset_id = :dataset_id
        GROUP BY reading.key
        """,
        {"dataset_id": dataset_id},
    )
