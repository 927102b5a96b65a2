"""Opening a store, and one clear line for everything that can be wrong with the file.

Readers call ``open_readonly``; the one writer opens through ``backend.store.migrations``. Both share the
checks here: missing, foreign, corrupt, older and newer files each get a message of their own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from backend.errors import StoreError
from backend.store.schema import SCHEMA_VERSION

BUSY_SECONDS = 10.0
"""How long a statement waits for another connection's lock before it fails."""

LANDMARKS = frozenset({"study", "run", "prediction"})
"""Tables that every version of a run store has; a file without them is something else."""


class StoreMissing(StoreError):  # noqa: N818 - an absence more than an error
    """There is no store yet: nothing was run, or the path is wrong."""


def utc_now() -> str:
    """The time as the store writes it: UTC, ISO-8601, microseconds, e.g. 2026-11-02T17:03:05.120000+00:00."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def open_readonly(path: str | Path) -> sqlite3.Connection:
    """Open a store for reading; the connection cannot change the file.

    Use one connection a thread. Rows come as ``sqlite3.Row``.

    Args:
        path: the store.

    Raises:
        StoreMissing: there is no such file, or it holds nothing yet.
        StoreError: not a run store, corrupt, or of another schema version.
    """
    path = Path(path)
    require_file(path)
    try:
        connection = connect_readonly(path)
    except sqlite3.Error as error:
        raise as_store_error(error, path) from error
    try:
        check_version(stored_version(connection, path), path)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_readonly(path: Path) -> sqlite3.Connection:
    """Open a database for reading, whatever it holds.

    Raises:
        sqlite3.Error: it cannot be opened, or not even its list of tables be read.
    """
    uri = path.resolve().as_uri() + "?mode=ro"
    try:
        return _connect(uri)
    except sqlite3.OperationalError:
        # A store in WAL mode on read-only media cannot make its -shm file; without anything in the -wal file
        # nothing is pending, and the main file alone is the whole truth.
        pending = path.with_name(path.name + "-wal")
        if pending.exists() and pending.stat().st_size:
            raise
        return _connect(uri + "&immutable=1")


def _connect(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    connection.row_factory = sqlite3.Row
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def data_version(connection: sqlite3.Connection) -> int:
    """A number that changes when another connection has committed; comparable within one connection only."""
    return int(connection.execute("PRAGMA data_version").fetchone()[0])


@contextmanager
def transaction(
    connection: sqlite3.Connection, path: Path, *, durable: bool = False
) -> Iterator[sqlite3.Connection]:
    """All or nothing: commit at the end of the block, roll back on any error.

    Args:
        connection: in autocommit mode (``isolation_level=None``).
        path: the store, for messages.
        durable: wait until this commit, and every one before it, is on the disk and survives a power cut.

    Raises:
        StoreError: SQLite could not do it (disk full, locked, read-only, corrupt).
    """
    try:
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")
    except BaseException as error:
        with suppress(sqlite3.Error):
            # SQLite has rolled back by itself after some errors (disk full).
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error):
            raise as_store_error(error, path) from error
        raise


def require_file(path: Path) -> None:
    """Check that ``path`` is a file.

    Raises:
        StoreMissing: it does not exist.
        StoreError: it is a folder or something else.
    """
    if not path.exists():
        raise StoreMissing(
            "there is no such file",
            where=str(path),
            expected="a run store",
            action="run `python -m backend.tune` first or pass another --store",
        )
    if not path.is_file():
        raise StoreError(
            "this is not a file", where=str(path), expected="a run store", action="pass another --store"
        )


def require_store(path: Path) -> None:
    """Check that ``path`` is a run store of any version: opened for writing, an empty file would become one.

    Raises:
        StoreMissing: it does not exist, or holds nothing yet.
        StoreError: it is something else, or cannot be read.
    """
    require_file(path)
    try:
        with closing(connect_readonly(path)) as connection:
            stored_version(connection, path)
    except sqlite3.Error as error:
        raise as_store_error(error, path) from error


def stored_version(connection: sqlite3.Connection, path: Path) -> int:
    """The schema version of an open store.

    Raises:
        StoreMissing: the database holds no table yet.
        StoreError: the database belongs to another program, or is corrupt.
    """
    try:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        tables = {
            str(row[0]) for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
    except sqlite3.Error as error:
        raise as_store_error(error, path) from error
    if not tables and version == 0:
        raise StoreMissing(
            "the store is empty", where=str(path), action="run `python -m backend.tune` to fill it"
        )
    if version < 1 or not tables >= LANDMARKS:
        raise StoreError(
            "this is not a run store but another program's SQLite file",
            where=str(path),
            expected=f"the tables {', '.join(sorted(LANDMARKS))} and a schema version above 0",
            action="pass another --store",
        )
    return version


def check_version(version: int, path: Path, supported: int = SCHEMA_VERSION) -> None:
    """Refuse a store that this program cannot read as it is.

    Raises:
        StoreError: the store is newer, or older and not migrated yet.
    """
    if version > supported:
        raise StoreError(
            f"the store has schema version {version}, newer than this program",
            where=str(path),
            expected=f"at most version {supported}",
            action="update this program or pass another --store",
        )
    if version < supported:
        raise StoreError(
            f"the store has the older schema version {version}",
            where=str(path),
            expected=f"version {supported}",
            action="run `python -m backend.store doctor --fix` once: it keeps a backup and migrates",
        )


def as_store_error(error: sqlite3.Error, path: Path) -> StoreError:
    """What a failure of SQLite means to the user, as one line.

    Args:
        error: what SQLite raised.
        path: the store.
    """
    name = getattr(error, "sqlite_errorname", "") or ""
    code = next((code for code in _MEANING if name.startswith(code)), "")
    found, action = _MEANING.get(code, (f"SQLite says: {error}", "run `python -m backend.store doctor`"))
    return StoreError(found, where=str(path), action=action)


_MEANING: dict[str, tuple[str, str]] = {
    "SQLITE_NOTADB": ("this is not a run store (not an SQLite file)", "pass another --store"),
    "SQLITE_CORRUPT": (
        "the store is corrupt",
        "run `python -m backend.store doctor --salvage OUT` to save what can be read",
    ),
    "SQLITE_FULL": (
        "the disk is full",
        "free space and start the same command again; nothing finished is lost",
    ),
    "SQLITE_READONLY": ("the store is read-only", "make it writable or pass another --store"),
    "SQLITE_CANTOPEN": ("the file cannot be opened", "check its permissions and those of its folder"),
    "SQLITE_BUSY": ("another program holds the store locked", "end that program and try again"),
    "SQLITE_IOERR": (
        "the disk does not take or give the store's bytes",
        "check the disk and its free space, then start the same command again; nothing finished is lost",
    ),
}
