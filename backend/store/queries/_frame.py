"""Running one statement and giving its rows to pandas; every other module here goes through it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

Parameters = Sequence[Any] | Mapping[str, Any]


def frame(connection: sqlite3.Connection, sql: str, parameters: Parameters = ()) -> pd.DataFrame:
    """The rows of a statement; the columns are there even when no row is."""
    import pandas as pd

    cursor = connection.execute(sql, parameters)
    columns = [column[0] for column in cursor.description]
    return pd.DataFrame.from_records([tuple(row) for row in cursor], columns=columns)


def first(connection: sqlite3.Connection, sql: str, parameters: Parameters = ()) -> dict[str, Any] | None:
    """The first row as a dictionary, None where there is none."""
    row = connection.execute(sql, parameters).fetchone()
    return None if row is None else {key: row[key] for key in row.keys()}  # noqa: SIM118 - a Row iterates its values


def runs_with(
    connection: sqlite3.Connection, table: Literal["attribution", "embedding"], dataset_id: str, study_id: str
) -> pd.DataFrame:
    """Complete runs that have rows in ``table``, in the order they were started.

    Args:
        connection: of the store.
        table: what they must have.
        dataset_id: their data set.
        study_id: their study; empty = any.

    Returns:
        run_id, name, kind, method, modalities (JSON text), label_fraction, seed, started, finished,
        git_commit, twin (how many earlier ones have the same name and seed).
    """
    # Few of many runs have such rows: hop through the index from one of them to the next.
    sql = """
        WITH RECURSIVE holder(run_id) AS (
            SELECT MIN(run_id) FROM {table}
            UNION ALL
            SELECT (SELECT MIN(t.run_id) FROM {table} t WHERE t.run_id > holder.run_id) FROM holder
            WHERE holder.run_id IS NOT NULL
        )
        SELECT r.run_id, r.name, r.kind, r.method, r.modalities, r.label_fraction, r.seed,
               r.started, r.finished, r.git_commit,
               ROW_NUMBER() OVER (PARTITION BY r.name, r.seed ORDER BY r.started, r.run_id) - 1 AS twin
        FROM holder CROSS JOIN run r ON r.run_id = holder.run_id
        WHERE r.dataset_id = :dataset_id AND (:study_id = '' OR r.study_id = :study_id)
          AND r.status = 'complete'
        ORDER BY r.started, r.run_id
        """
    return frame(connection, sql.format(table=table), {"dataset_id": dataset_id, "study_id": study_id})


def json_list(names: Iterable[str]) -> str:
    """Names as one JSON parameter, for ``IN (SELECT value FROM json_each(?))``: any number of them."""
    return json.dumps(list(names))


def parsed(text: str | None, fallback: Any) -> Any:
    """JSON text from the store; ``fallback`` where it is missing or another program wrote nonsense."""
    try:
        return json.loads(text) if text else fallback
    except json.JSONDecodeError:
        return fallback
