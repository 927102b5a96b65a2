"""A store held for writing: locked, open, and with all-or-nothing access. Every writing verb stands on it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from backend.store.connection import as_store_error, transaction
from backend.store.insert import insert_rows
from backend.store.locking import StoreLock
from backend.store.migrations import open_for_writing, require_writable


class WriteSession:
    """A store, open for writing, locked against every other writer until ``close``.

    Methods may be called from any thread of this process; they take turns.
    """

    def __init__(self, path: str | Path, purpose: str = "") -> None:
        """Lock, open, and where needed create or migrate the store.

        Args:
            path: the store's file.
            purpose: shown to whoever finds the store locked, e.g. the study.

        Raises:
            StoreError: another writer has it, or the file is newer, foreign, corrupt or read-only.
        """
        self.path = Path(path)
        self._mutex = threading.RLock()
        require_writable(self.path)
        self._lock = StoreLock(self.path, purpose)
        try:
            self.connection = open_for_writing(self.path)
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(in_order=error is None)

    def close(self, *, in_order: bool = True) -> None:
        """Close the file and let the next writer in; safe to call twice.

        Args:
            in_order: whether all was said that had to be; see ``StoreLock.release``.
        """
        with self._mutex:
            with suppress(sqlite3.Error):
                self.connection.execute("PRAGMA optimize")
                # The last one to close does this, but an open dashboard may stay for days.
                self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            self.connection.close()
            self._lock.release(in_order=in_order)

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """All or nothing: see ``backend.store.connection.transaction``."""
        with self._mutex, transaction(self.connection, self.path, durable=durable) as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection for queries; failures of SQLite become a ``StoreError``."""
        with self._mutex:
            try:
                yield self.connection
            except sqlite3.Error as error:
                raise as_store_error(error, self.path) from error

    def rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        """Every row of a query."""
        with self.reading() as connection:
            return connection.execute(sql, values).fetchall()

    def row(self, sql: str, *values: Any) -> sqlite3.Row | None:
        """The first row of a query, None where there is none."""
        rows = self.rows(sql, *values)
        return rows[0] if rows else None

    def value(self, sql: str, *values: Any) -> Any:
        """The first value of a query, None where there is none."""
        row = self.row(sql, *values)
        return None if row is None else row[0]

    def put(self, table: str, rows: list[dict[str, Any]]) -> None:
        """Insert rows of one shape, replacing those with the same key; inside a transaction."""
        if rows:
            columns = tuple(rows[0])
            values = ([row[name] for name in columns] for row in rows)
            insert_rows(self.connection, table, columns, values, conflict="OR REPLACE")
