"""Whether a database file is sound, as far as SQLite itself can tell."""

from __future__ import annotations

import sqlite3

JSON_COLUMNS: tuple[tuple[str, str], ...] = (
    ("dataset", "spec"),
    ("dataset", "warnings"),
    ("fruit", "labels"),
    ("fruit", "pressures"),
    ("fruit", "images"),
    ("study", "plan"),
    ("study", "folds"),
    ("study", "progress"),
    ("study", "summary"),
    ("run", "modalities"),
    ("run", "augmentations"),
    ("run", "params"),
    ("run", "environment"),
    ("run_fold", "notes"),
    ("attribution", "scores"),
    ("finding", "detail"),
)
"""Table and column of everything that holds JSON text."""


def row_counts(connection: sqlite3.Connection) -> dict[str, int]:
    """Rows of every table, by name."""
    names = [
        str(row[0])
        for row in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
        )
    ]
    return {name: count_rows(connection, name) for name in names}


def count_rows(connection: sqlite3.Connection, table: str) -> int:
    """Rows of one table."""
    quoted = table.replace('"', '""')
    return int(connection.execute(f'SELECT COUNT(*) FROM "{quoted}"').fetchone()[0])  # noqa: S608 - quoted


def integrity_faults(connection: sqlite3.Connection) -> list[str]:
    """What SQLite's own integrity and foreign key checks find; empty = the file is sound."""
    faults = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(20)") if row[0] != "ok"]
    broken: dict[tuple[str, str], int] = {}
    for table, _, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        broken[str(table), str(parent)] = broken.get((str(table), str(parent)), 0) + 1
    faults += [f"{n} rows of {table} point to a missing {parent}" for (table, parent), n in broken.items()]
    return faults


def json_faults(connection: sqlite3.Connection) -> dict[str, int]:
    """``table.column`` to the number of rows that should hold JSON and do not."""
    faults = {}
    for table, column in JSON_COLUMNS:
        sql = f"SELECT COUNT(*) FROM {table} WHERE NOT json_valid({column})"  # noqa: S608 - our own names
        rows = int(connection.execute(sql).fetchone()[0])
        if rows:
            faults[f"{table}.{column}"] = rows
    return faults
