"""Many rows into a table: every row once and in order, whatever their number."""

from __future__ import annotations

import sqlite3

import pytest

from backend.store.insert import MOST_VALUES, insert_rows

COLUMNS = ("name", "value", "more")
CHUNK = MOST_VALUES // len(COLUMNS)


@pytest.fixture
def table() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE kept (value REAL, name TEXT PRIMARY KEY, more INTEGER NOT NULL)")
    connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 999)  # as older builds are limited
    return connection


@pytest.mark.parametrize("n", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7])
def test_every_row_arrives_once(table, n: int) -> None:
    rows = [(f"row {k}", None if k % 5 == 0 else k / 3, k) for k in range(n)]
    insert_rows(table, "kept", COLUMNS, (row for row in rows))
    assert table.execute("SELECT name, value, more FROM kept ORDER BY more").fetchall() == rows


def test_rows_go_in_many_to_a_statement(table) -> None:
    statements: list[str] = []
    table.set_trace_callback(statements.append)
    insert_rows(table, "kept", COLUMNS, [(f"row {k}", 0.0, k) for k in range(3 * CHUNK + 7)])
    assert len([text for text in statements if text.startswith("INSERT")]) == 3 + 7


def test_a_key_that_is_there_is_refused_or_replaced(table) -> None:
    rows = [(f"row {k}", 0.0, k) for k in range(CHUNK + 1)]
    insert_rows(table, "kept", COLUMNS, rows)
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        insert_rows(table, "kept", COLUMNS, rows)
    insert_rows(table, "kept", COLUMNS, [(name, 1.0, more) for name, _, more in rows], conflict="OR REPLACE")
    assert table.execute("SELECT COUNT(*), SUM(value) FROM kept").fetchone() == (len(rows), len(rows))


def test_one_bad_row_of_many_is_an_error(table) -> None:
    rows: list[tuple[str, float, int | None]] = [(f"row {k}", 0.0, k) for k in range(CHUNK)]
    rows[CHUNK // 2] = ("bad", 0.0, None)
    with pytest.raises(sqlite3.IntegrityError, match="NOT NULL"):
        insert_rows(table, "kept", COLUMNS, rows)
