"""What one run decides otherwise than another, fruit by fruit.

A fruit counts once for each defect that it is judged on; in a multiclass data set once, under its true class.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from backend.store.queries._frame import frame

if TYPE_CHECKING:
    import pandas as pd

_BOTH = """
    FROM prediction b
    JOIN prediction a ON a.run_id = :a AND a.defect = b.defect AND a.fold = b.fold AND a.fruit_id = b.fruit_id
    JOIN run r ON r.run_id = b.run_id
    JOIN fruit f ON f.dataset_id = r.dataset_id AND f.fruit_id = b.fruit_id
    WHERE b.run_id = :b AND b.y_true IS NOT NULL AND (:of_truth = 0 OR b.y_true = 1)
"""


def tallies(connection: sqlite3.Connection, run_id_a: str, run_id_b: str, multiclass: bool) -> pd.DataFrame:
    """How many decisions run b puts right and wrong against run a, by defect and group.

    Args:
        connection: of the store.
        run_id_a: the run before.
        run_id_b: the run after.
        multiclass: whether each fruit has exactly one class.

    Returns:
        defect, fruit_group, n (fruit judged), found (missed before, found now), cleared (false alarm before,
        passed now), lost (found before, missed now), alarmed (passed before, false alarm now).
    """
    return frame(
        connection,
        "SELECT b.defect, f.fruit_group, COUNT(*) AS n,"
        " SUM(b.y_true = 1 AND a.y_pred = 0 AND b.y_pred = 1) AS found,"
        " SUM(b.y_true = 0 AND a.y_pred = 1 AND b.y_pred = 0) AS cleared,"
        " SUM(b.y_true = 1 AND a.y_pred = 1 AND b.y_pred = 0) AS lost,"
        " SUM(b.y_true = 0 AND a.y_pred = 0 AND b.y_pred = 1) AS alarmed"
        f"{_BOTH} GROUP BY b.defect, f.fruit_group",
        {"a": run_id_a, "b": run_id_b, "of_truth": int(multiclass)},
    )


def moved(connection: sqlite3.Connection, run_id_a: str, run_id_b: str, multiclass: bool) -> pd.DataFrame:
    """The decisions that differ, those that changed most first.

    Returns:
        fruit_id, fruit_group, defect, y_true (1 or 0), fixed (1 = right now, 0 = wrong now), score_a and
        score_b.
    """
    return frame(
        connection,
        "SELECT b.fruit_id, f.fruit_group, b.defect, b.y_true, b.y_pred = b.y_true AS fixed,"
        " a.score AS score_a, b.score AS score_b"
        f"{_BOTH} AND a.y_pred <> b.y_pred"
        " ORDER BY ABS(b.score - a.score) DESC, b.fruit_id, b.defect",
        {"a": run_id_a, "b": run_id_b, "of_truth": int(multiclass)},
    )
