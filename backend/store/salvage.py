"""Saving what can be read from a damaged store into a new one.

SQLite stops a query at the first damaged page. So tables are read in windows that are halved until the
damage is a single row (rows numbered by SQLite), or run by run from both ends (rows kept in the order of
their key): what is lost is what lies on the damaged pages. A text that should be JSON and is not becomes
empty.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backend.errors import StoreError
from backend.store.artifacts import copy_artifact, inside, target_path
from backend.store.connection import connect_readonly, require_file, transaction
from backend.store.integrity import JSON_COLUMNS, integrity_faults
from backend.store.schema import TABLES
from backend.store.session import WriteSession

WINDOW = 1 << 16
"""Rows read at once while nothing is damaged."""

MOST_BYTES = 1 << 40
"""A header that promises more is damaged itself."""

BUDGET = 20_000
"""Failed reads a table before damaged windows are given up whole: beyond it the damage is no few pages."""

_LISTS = ("warnings", "modalities", "augmentations")
"""JSON columns that hold a list; the others hold an object."""
_NUMBERED = tuple(name for name, sql in TABLES.items() if "WITHOUT ROWID" not in sql)


@dataclass
class Salvage:
    """What was saved.

    Attributes:
        rows: table to rows in the new store.
        damaged: tables with pages or JSON texts that could not be read.
        dropped: table to rows that were read, but whose run, study or data set is lost.
        artifacts: files copied, with the right checksum.
    """

    rows: dict[str, int] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)
    artifacts: int = 0


def salvage(path: Path, out: Path) -> Salvage:
    """Save what can be read from ``path`` into the new store ``out``, artifacts included.

    Args:
        path: a damaged store; it is only read.
        out: must not exist yet.

    Raises:
        StoreError: ``out`` exists or cannot be written, or not even the list of tables can be read.
    """
    require_file(path)
    if out.exists():
        raise StoreError("the file exists", where=str(out), action="name a new file for what is saved")
    _require_place(out)
    result = Salvage()
    with _opened(path, out) as damaged:
        found = _readable_tables(damaged, path)
        try:
            with WriteSession(out, "salvage") as session:
                for table in found:
                    _copy_table(damaged, session, table, result)
                _drop_strays(session, result)
                _copy_files(path, session, result)
                faults = integrity_faults(session.connection)
        except StoreError:
            _remove(out, "", "-wal", "-shm", ".lock")  # half a salvage is none; the name is free again
            raise
    assert not faults, f"the saved store is not sound: {faults}"
    return result


def _require_place(out: Path) -> None:
    """Raise where no file can be made: else the damaged store would be blamed."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.touch()
        out.unlink()
    except OSError as error:
        raise StoreError(
            f"nothing can be saved there ({error.strerror})",
            where=str(error.filename or out),
            action="free space or pass another place",
        ) from error


def _remove(path: Path, *endings: str) -> None:
    for ending in endings:
        with suppress(OSError):
            path.with_name(path.name + ending).unlink(missing_ok=True)


@contextmanager
def _opened(path: Path, out: Path) -> Iterator[sqlite3.Connection]:
    """The damaged database; one that was cut off is refused by SQLite until it has its length again."""
    whole = out.with_name(out.name + ".whole")
    try:
        connection = connect_readonly(_lengthened(path, whole))
    except OSError as error:
        _remove(whole, "", "-wal")
        raise StoreError(
            f"the store cannot be read or copied to {whole.parent} ({error.strerror})",
            where=str(path),
            action="check permissions and free space",
        ) from error
    except sqlite3.Error as error:
        _remove(whole, "", "-wal", "-shm")
        raise _hopeless(path, str(error)) from error
    try:
        yield connection
    finally:
        connection.close()
        _remove(whole, "", "-wal", "-shm")


def _lengthened(path: Path, whole: Path) -> Path:
    """``path``, or where it was cut off a copy with empty pages for those that its header counts."""
    with path.open("rb") as file:
        header = file.read(100)
    page, pages = int.from_bytes(header[16:18], "big"), int.from_bytes(header[28:32], "big")
    length = (65_536 if page == 1 else page) * pages
    if not path.stat().st_size < length <= MOST_BYTES:
        return path
    shutil.copyfile(path, whole)
    with suppress(FileNotFoundError):
        shutil.copyfile(path.with_name(path.name + "-wal"), whole.with_name(whole.name + "-wal"))
    with whole.open("r+b") as file:
        file.truncate(length)  # takes no room on the disk
    return whole


def _readable_tables(damaged: sqlite3.Connection, path: Path) -> list[str]:
    """The tables of a run store that are there, parents first."""
    try:
        version = damaged.execute("PRAGMA user_version").fetchone()[0]
        found = {row[0] for row in damaged.execute("SELECT name FROM sqlite_master")}
    except sqlite3.Error as error:
        raise _hopeless(path, str(error)) from error
    tables = [table for table in TABLES if table in found]
    if version < 1 or not tables:
        raise _hopeless(path, "it names none")
    return tables


def _hopeless(path: Path, reason: str) -> StoreError:
    return StoreError(
        f"no table of a run store can be read ({reason})", where=str(path), action="restore a backup"
    )


def _copy_table(damaged: sqlite3.Connection, session: WriteSession, table: str, result: Salvage) -> None:
    """Copy the readable rows of one table, with foreign keys off: parents may be lost."""
    session.connection.execute("PRAGMA foreign_keys = OFF")
    reader = _Reader(damaged, table, [row[0] for row in session.rows("SELECT run_id FROM run")])
    texts = [column for name, column in JSON_COLUMNS if name == table]
    with transaction(session.connection, session.path) as connection:
        for row in reader:
            reader.failures += _empty_broken_texts(row, texts)
            names = ", ".join(row)
            values = ", ".join(f":{name}" for name in row)
            connection.execute(f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({values})", row)  # noqa: S608
    session.connection.execute("PRAGMA foreign_keys = ON")
    if reader.failures:
        result.damaged.append(table)
    result.rows[table] = session.value(f"SELECT COUNT(*) FROM {table}")  # noqa: S608 - our own table names


def _empty_broken_texts(row: dict[str, Any], columns: list[str]) -> int:
    """Replace what should be JSON and is not by an empty value; returns how many there were."""
    broken = 0
    for name in columns:
        try:
            json.loads(row.get(name, "null"))
        except (ValueError, TypeError):
            row[name] = "[]" if name in _LISTS else "{}"
            broken += 1
    return broken


class _Reader:
    """The rows of one table that can be read; ``failures`` afterwards counts the reads that failed."""

    def __init__(self, connection: sqlite3.Connection, table: str, run_ids: list[str]) -> None:
        self.connection, self.table, self.run_ids = connection, table, run_ids
        self.failures = 0
        # The schema is text in the file too: a byte of it may be no letter any more.
        columns = "SELECT CAST(name AS BLOB), pk FROM pragma_table_info(?) ORDER BY pk"
        found = {
            bytes(name).decode(errors="replace"): key for name, key in connection.execute(columns, (table,))
        }
        self.columns = [name for name in found if name in set(_columns(table))]
        self.key = [name for name in self.columns if found[name]]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        rows = self._numbered() if self.table in _NUMBERED else self._keyed()
        for row in rows:
            yield dict(zip(self.columns, row, strict=True))

    def _select(self, clause: str) -> str:
        return f"SELECT {', '.join(self.columns)} FROM {self.table} {clause}"  # noqa: S608 - our own names

    def _numbered(self) -> Iterator[tuple[Any, ...]]:
        for low in range(0, self._last_number() + 1, WINDOW):
            yield from self._window(low, low + WINDOW - 1)

    def _last_number(self) -> int:
        try:
            last = self.connection.execute(f"SELECT MAX(rowid) FROM {self.table}").fetchone()[0]  # noqa: S608
            return int(last or 0)
        except sqlite3.DatabaseError:
            self.failures += 1
            pages, size = (
                int(self.connection.execute(f"PRAGMA {name}").fetchone()[0])
                for name in ("page_count", "page_size")
            )
            return pages * size // 8  # no row takes fewer bytes

    def _window(self, low: int, high: int) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self.connection.execute(
                self._select("NOT INDEXED WHERE rowid BETWEEN ? AND ?"), (low, high)
            ).fetchall()
        except sqlite3.DatabaseError:
            self.failures += 1
            if low < high and self.failures < BUDGET:
                middle = (low + high) // 2
                yield from self._window(low, middle)
                yield from self._window(middle + 1, high)

    def _keyed(self) -> Iterator[tuple[Any, ...]]:
        """Part by part from both ends; rows seen twice are ignored on insertion."""
        parts = self.run_ids if "run_id" in self.key else [None]
        where = "WHERE run_id = ?" if "run_id" in self.key else "WHERE ? IS NULL"
        for part in parts:
            for direction in ("ASC", "DESC"):
                order = ", ".join(f"{name} {direction}" for name in self.key)
                try:
                    yield from self.connection.execute(self._select(f"{where} ORDER BY {order}"), (part,))
                    break
                except sqlite3.DatabaseError:
                    self.failures += 1


def _columns(table: str) -> list[str]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(TABLES[table])
        return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]


def _drop_strays(session: WriteSession, result: Salvage) -> None:
    """Remove rows whose parent is lost, until none is left; a run outlives its pretraining."""
    with session.transaction() as connection:
        connection.execute(
            "UPDATE run SET parent_run_id = NULL WHERE parent_run_id NOT IN (SELECT run_id FROM run)"
        )
    while True:
        strays = session.rows('SELECT "table", COUNT(*) FROM pragma_foreign_key_check GROUP BY 1')
        if not strays:
            return
        for table, _ in strays:
            result.dropped[table] = result.dropped.get(table, 0) + _drop_from(session, table)
            result.rows[table] = session.value(f"SELECT COUNT(*) FROM {table}")  # noqa: S608 - our own names


def _drop_from(session: WriteSession, table: str) -> int:
    """Remove the rows of ``table`` that point to a missing parent."""
    keys = session.rows(f"PRAGMA foreign_key_list({table})")
    clauses = []
    for key in keys:
        parent, column = key["table"], key["from"]
        target = key["to"] or f"{parent}_id"
        clauses.append(f"({column} IS NOT NULL AND {column} NOT IN (SELECT {target} FROM {parent}))")  # noqa: S608
    with session.transaction() as connection:
        return connection.execute(f"DELETE FROM {table} WHERE {' OR '.join(clauses)}").rowcount  # noqa: S608


def _copy_files(path: Path, session: WriteSession, result: Salvage) -> None:
    """Give the new store its own copy of every artifact that still has its checksum."""
    for row in session.rows("SELECT run_id, name, path, sha256 FROM artifact"):
        try:
            source = inside(path.parent, row["path"])
            target = target_path(session.path, row["run_id"], row["name"])
        except StoreError:
            continue
        relative = target.relative_to(session.path.parent).as_posix()
        if not copy_artifact(source, target, row["sha256"]):
            result.artifacts += 1
            with session.transaction() as connection:
                connection.execute(
                    "UPDATE attribution SET path = ? WHERE run_id = ? AND path = ?",
                    (relative, row["run_id"], row["path"]),
                )
                connection.execute(
                    "UPDATE artifact SET path = ? WHERE run_id = ? AND name = ?",
                    (relative, row["run_id"], row["name"]),
                )
