"""Opening a store for writing: a new file gets the tables, an older one is migrated, others are refused.

``PRAGMA user_version`` counts the schema. ``STEPS[i]`` takes version i + 1 to i + 2; a released step is never
edited, and never uses ``schema.TABLES``, which is always at the newest version.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from backend.errors import StoreError
from backend.store.backup import back_up
from backend.store.connection import (
    BUSY_SECONDS,
    StoreMissing,
    as_store_error,
    check_version,
    stored_version,
    transaction,
)
from backend.store.integrity import integrity_faults
from backend.store.schema import INDEXES, SCHEMA_VERSION, TABLES

if TYPE_CHECKING:
    from sqlite_utils import Database

Step = Callable[["Database"], None]
"""One version up, inside a transaction; ``Database.transform`` does what ALTER TABLE cannot."""


def _findings_and_power(database: Database) -> None:
    """Version 2: how strong a difference is, the neighbours of fruit, and findings about the data."""
    for name, kind in (("effect_size", float), ("n_needed", int)):
        database.table("comparison").add_column(name, kind)
    database.execute(
        "CREATE TABLE neighbour (run_id TEXT NOT NULL REFERENCES run ON DELETE CASCADE, "
        "fruit_id TEXT NOT NULL, rank INTEGER NOT NULL, neighbour_id TEXT NOT NULL, "
        "similarity REAL NOT NULL, PRIMARY KEY (run_id, fruit_id, rank)) WITHOUT ROWID"
    )
    database.execute(
        "CREATE TABLE finding (dataset_id TEXT NOT NULL REFERENCES dataset, kind TEXT NOT NULL, "
        "subject TEXT NOT NULL, fruit_id TEXT NOT NULL DEFAULT '', other_id TEXT NOT NULL DEFAULT '', "
        "value REAL, detail TEXT NOT NULL DEFAULT '{}', run_id TEXT REFERENCES run ON DELETE SET NULL, "
        "PRIMARY KEY (dataset_id, kind, subject, fruit_id, other_id)) WITHOUT ROWID"
    )


STEPS: tuple[Step, ...] = (_findings_and_power,)

assert len(STEPS) == SCHEMA_VERSION - 1, "every schema version above 1 needs the step that leads to it"


def open_for_writing(path: str | Path, steps: tuple[Step, ...] = STEPS) -> sqlite3.Connection:
    """Open a store for its one writer (who holds ``backend.store.locking.StoreLock``).

    The connection is in autocommit mode: use ``connection.transaction``. An older store is copied to
    ``<store>.v<version>.bak`` first, the copy verified, then migrated in one transaction.

    Args:
        path: the store; created, with its folder, where it does not exist.
        steps: the migrations, for tests.

    Raises:
        StoreError: newer, foreign, corrupt or read-only file, or the disk does not take it.
    """
    path = Path(path)
    require_writable(path)
    try:
        connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
    except sqlite3.Error as error:
        raise as_store_error(error, path) from error
    try:
        connection.row_factory = sqlite3.Row
        _prepare(connection, path, steps)
    except sqlite3.Error as error:
        connection.close()
        raise as_store_error(error, path) from error
    except BaseException:
        connection.close()
        raise
    return connection


def require_writable(path: Path) -> None:
    """Make the folder of a store and check that the store may be written.

    Raises:
        StoreError: the folder cannot be made, or the store is protected or no file.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"the folder cannot be made ({error.strerror})",
            where=str(path.parent),
            action="pass another --store",
        ) from error
    if path.exists() and not path.is_file():
        raise StoreError("this is not a file", where=str(path), action="pass another --store")
    # The mode bits are asked too: a superuser may write to a file that its owner protected.
    if path.exists() and not path.stat().st_mode & 0o222:
        raise StoreError(
            "the store is read-only", where=str(path), action="make it writable or pass another --store"
        )


def _prepare(connection: sqlite3.Connection, path: Path, steps: tuple[Step, ...]) -> None:
    newest = len(steps) + 1
    try:
        version = stored_version(connection, path)
    except StoreMissing:
        version = 0
    if version > newest:
        check_version(version, path, newest)
    if 0 < version < newest:
        back_up(path, path.with_name(f"{path.name}.v{version}.bak"))
    connection.execute("PRAGMA journal_mode = WAL")
    # A power cut may take the last commits, but never damages; what must last asks for more (transaction).
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA trusted_schema = OFF")
    if version == 0:
        create_schema(connection, path)
    elif version < newest:
        _migrate(connection, path, steps[version - 1 :], newest)
    if newest == SCHEMA_VERSION:
        create_indexes(connection, path)
    connection.execute("PRAGMA foreign_keys = ON")


def create_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Make every table of the newest version in an empty database."""
    with transaction(connection, path):
        for statement in TABLES.values():
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION:d}")


def create_indexes(connection: sqlite3.Connection, path: Path) -> None:
    """Make the indexes that are missing."""
    known = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
    missing = [statement for name, statement in INDEXES.items() if name not in known]
    if missing:
        with transaction(connection, path):
            for statement in missing:
                connection.execute(statement)


def _migrate(connection: sqlite3.Connection, path: Path, steps: tuple[Step, ...], newest: int) -> None:
    """Run the steps in one transaction; foreign keys are checked at its end, as SQLite advises."""
    from sqlite_utils import Database

    database = Database(connection, execute_plugins=False)
    with transaction(connection, path):
        for step in steps:
            step(database)
        connection.execute(f"PRAGMA user_version = {newest:d}")
        faults = integrity_faults(connection)
        if faults:
            raise StoreError(
                f"migrating to version {newest} would damage it: {faults[0]}",
                where=str(path),
                action="the store is unchanged; please report this",
            )
