"""The search: its trials, what they tried, what they reached and what they took."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from backend.store.queries._frame import frame

if TYPE_CHECKING:
    import pandas as pd

SCORE = "inner_mcc"
"""What a search maximises: the agreement on inner validation fruit, never on test fruit."""


def trials(connection: sqlite3.Connection, dataset_id: str, study_id: str = "") -> pd.DataFrame:
    """Every trial of the searches, in the order they were started; not what confirmed one at full length.

    Args:
        connection: of the store.
        dataset_id: their data set.
        study_id: their study; empty = any.

    Returns:
        run_id, name, kind, method, status, started, seconds (None = not known), params (JSON text),
        git_commit, score (``inner_mcc`` over all folds; None where the trial did not finish).
    """
    return frame(
        connection,
        """
        SELECT r.run_id, r.name, r.kind, r.method, r.status, r.started, r.seconds, r.params, r.git_commit,
               m.value AS score
        FROM run r
        LEFT JOIN metric m ON m.run_id = r.run_id AND m.metric = :score
             AND COALESCE(m.defect, '') = '' AND COALESCE(m.fold, -1) = -1
        WHERE r.dataset_id = :dataset_id AND (:study_id = '' OR r.study_id = :study_id)
          AND r.purpose = 'tune' AND COALESCE(json_extract(r.params, '$.label'), '') = ''
        ORDER BY r.started, r.run_id
        """,
        {"dataset_id": dataset_id, "study_id": study_id, "score": SCORE},
    )


def state_of_search(
    connection: sqlite3.Connection, dataset_id: str, study_id: str = ""
) -> tuple[tuple[str, int, str, float], ...]:
    """What changes whenever a trial starts or ends, and costs a fraction of reading them all.

    Args:
        connection: of the store.
        dataset_id: their data set.
        study_id: their study; empty = any.

    Returns:
        For every status: its name, how many trials have it, when the latest of them started (UTC), and the
        seconds that all of them took.
    """
    sql = """
        SELECT status, COUNT(*), MAX(started), COALESCE(SUM(seconds), 0) FROM run
        WHERE dataset_id = :dataset_id AND purpose = 'tune' AND (:study_id = '' OR study_id = :study_id)
          -- The statuses are named for the index, which begins with them.
          AND status IN ('running', 'complete', 'pruned', 'failed', 'interrupted')
        GROUP BY status ORDER BY status
        """
    rows = connection.execute(sql, {"dataset_id": dataset_id, "study_id": study_id})
    return tuple((str(status), int(n), str(latest), float(took)) for status, n, latest, took in rows)


def time_spent(
    connection: sqlite3.Connection, dataset_id: str, study_id: str = "", since: str = ""
) -> pd.DataFrame:
    """Where the time of a study went.

    Args:
        connection: of the store.
        dataset_id: what was trained on.
        study_id: empty = any.
        since: UTC time; runs started before it are left out.

    Returns:
        purpose, kind, runs, seconds (summed over runs that have ended).
    """
    return frame(
        connection,
        """
        SELECT r.purpose, r.kind, COUNT(*) AS runs, COALESCE(SUM(r.seconds), 0) AS seconds
        FROM run r
        WHERE r.dataset_id = :dataset_id AND (:study_id = '' OR r.study_id = :study_id)
          AND r.started >= :since
        GROUP BY r.purpose, r.kind
        ORDER BY seconds DESC
        """,
        {"dataset_id": dataset_id, "study_id": study_id, "since": since},
    )
