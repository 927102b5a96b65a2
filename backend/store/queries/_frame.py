"""Running one statement and giving its rows to pandas; every other module here goes through it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

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


def json_list(names: Iterable[str]) -> str:
    """Names as one JSON parameter, for ``IN (SELECT value FROM json_each(?))``: any number of them."""
    return json.dumps(list(names))


def parsed(text: str | None, fallback: Any) -> Any:
    """JSON text from the store; ``fallback`` where it is missing or another program wrote nonsense."""
    try:
        return json.loads(text) if text else fallback
    except json.JSONDecodeError:
        return fallback
