"""What people write beside a store: notes, tags and stars of runs, and the basket of the report.

It is a database of its own, ``<store stem>.notes.db`` next to the store, so that the dashboard only ever
reads the store itself. Every call opens the file for one short transaction: several people may write.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from backend.errors import StoreError
from backend.store.connection import BUSY_SECONDS, as_store_error, transaction, utc_now

VERSION = 1
MOST_PAYLOAD = 12_000_000
"""Characters of one figure in the basket; more than any chart should hold."""
MOST_FIGURES = 200
MOST_NOTE = 20_000

TABLES = (
    """CREATE TABLE note (
        run_id TEXT PRIMARY KEY,
        text TEXT NOT NULL DEFAULT '',
        star INTEGER NOT NULL DEFAULT 0,
        tags TEXT NOT NULL DEFAULT '[]',  -- JSON list
        changed TEXT NOT NULL
    )""",
    """CREATE TABLE basket (
        item INTEGER PRIMARY KEY,
        place INTEGER NOT NULL,           -- order in the report
        title TEXT NOT NULL,
        caption TEXT NOT NULL,
        payload TEXT NOT NULL,            -- JSON: the frozen figure and where it comes from
        added TEXT NOT NULL
    )""",
)


@dataclass(frozen=True)
class Note:
    """What people wrote about a run."""

    text: str = ""
    star: bool = False
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class BasketItem:
    """One figure of the report.

    Attributes:
        item: its number, which never changes.
        title: of the figure, for lists.
        caption: the reader's own sentence; empty = the figure's.
        payload: JSON text of the frozen figure.
        added: UTC time.
    """

    item: int
    title: str
    caption: str
    payload: str
    added: str


def notes_path(store: Path) -> Path:
    """Where the annotations of a store lie: ``runs/store.db`` has ``runs/store.notes.db``."""
    return store.with_name(f"{store.stem}.notes.db")


class Annotations:
    """Notes and basket of one store. Made on the first write; without a file everything is empty."""

    def __init__(self, store: Path) -> None:
        """Name the database; nothing is opened yet.

        Args:
            store: the run store that it belongs to.
        """
        self.path = notes_path(store)

    def notes(self) -> dict[str, Note]:
        """Run id to what was written about it."""
        sql = "SELECT run_id, text, star, tags FROM note"
        return {row["run_id"]: _note(row) for row in self._rows(sql)}

    def note(self, run_id: str) -> Note:
        """What was written about one run."""
        rows = self._rows("SELECT text, star, tags FROM note WHERE run_id = ?", run_id)
        return _note(rows[0]) if rows else Note()

    def set_note(self, run_id: str, note: Note) -> None:
        """Replace what was written about a run; an empty note takes it away.

        Raises:
            StoreError: the note is too long, or the file cannot be written.
        """
        if len(note.text) > MOST_NOTE:
            raise StoreError(
                f"a note of {len(note.text):,} characters",
                expected=f"at most {MOST_NOTE:,}",
                action="shorten it",
            )
        with self._writing() as connection:
            if note == Note():
                connection.execute("DELETE FROM note WHERE run_id = ?", (run_id,))
                return
            connection.execute(
                "INSERT OR REPLACE INTO note (run_id, text, star, tags, changed) VALUES (?, ?, ?, ?, ?)",
                (run_id, note.text, int(note.star), json.dumps(list(note.tags)), utc_now()),
            )

    def basket(self) -> list[BasketItem]:
        """The figures of the report in their order."""
        sql = "SELECT item, title, caption, payload, added FROM basket ORDER BY place, item"
        return [BasketItem(**dict(row)) for row in self._rows(sql)]

    def basket_size(self) -> int:
        """How many figures the report holds."""
        rows = self._rows("SELECT COUNT(*) AS n FROM basket")
        return int(rows[0]["n"]) if rows else 0

    def put_into_basket(self, title: str, payload: str) -> int:
        """Add a figure at the end of the report; the very same one is not added twice.

        Returns:
            The item's number.

        Raises:
            StoreError: the figure holds too much, the basket is full, or the file cannot be written.
        """
        if len(payload) > MOST_PAYLOAD:
            raise StoreError(
                f"a figure of {len(payload):,} characters",
                expected=f"at most {MOST_PAYLOAD:,}",
                action="filter it first",
            )
        with self._writing() as connection:
            known = connection.execute("SELECT item FROM basket WHERE payload = ?", (payload,)).fetchone()
            if known is not None:
                return int(known["item"])
            n, last = connection.execute("SELECT COUNT(*), COALESCE(MAX(place), 0) FROM basket").fetchone()
            if n >= MOST_FIGURES:
                raise StoreError(
                    f"the report holds {n} figures already",
                    expected=f"at most {MOST_FIGURES}",
                    action="remove some on the Report page",
                )
            cursor = connection.execute(
                "INSERT INTO basket (place, title, caption, payload, added) VALUES (?, ?, '', ?, ?)",
                (last + 1, title, payload, utc_now()),
            )
            return int(cursor.lastrowid or 0)

    def caption(self, item: int, text: str) -> None:
        """Give a figure of the report a caption of its own; empty = the figure's sentence."""
        with self._writing() as connection:
            connection.execute("UPDATE basket SET caption = ? WHERE item = ?", (text[:MOST_NOTE], item))

    def remove(self, items: Iterable[int]) -> None:
        """Take figures out of the report."""
        with self._writing() as connection:
            connection.executemany("DELETE FROM basket WHERE item = ?", [(item,) for item in items])

    def order(self, items: Iterable[int]) -> None:
        """Put the figures of the report into this order; those left out keep their place."""
        with self._writing() as connection:
            connection.executemany(
                "UPDATE basket SET place = ? WHERE item = ?",
                [(place, item) for place, item in enumerate(items, start=1)],
            )

    def _rows(self, sql: str, *values: object) -> list[sqlite3.Row]:
        if not self.path.exists():
            return []
        try:
            with closing(self._connect(f"{self.path.resolve().as_uri()}?mode=ro")) as connection:
                if self._version(connection) == 0:
                    return []
                return connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise as_store_error(error, self.path) from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(self._connect(self.path.resolve().as_uri())) as connection:
                new = self._version(connection) == 0
                with transaction(connection, self.path):
                    if new and self._version(connection) == 0:
                        for statement in TABLES:
                            connection.execute(statement)
                        connection.execute(f"PRAGMA user_version = {VERSION:d}")
                    yield connection
        except sqlite3.Error as error:
            raise as_store_error(error, self.path) from error

    @staticmethod
    def _connect(uri: str) -> sqlite3.Connection:
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA trusted_schema = OFF")
        return connection

    def _version(self, connection: sqlite3.Connection) -> int:
        # One statement: between two, another writer may make the tables, and its file would look foreign.
        version, tables = connection.execute(
            "SELECT (SELECT user_version FROM pragma_user_version),"
            " (SELECT COUNT(*) FROM sqlite_master WHERE type = 'table')"
        ).fetchone()
        if version > VERSION or (tables and not version):
            raise StoreError(
                "this is not a notes database of this program",
                where=str(self.path),
                expected=f"version {VERSION}",
                action="move it away: a new one is made",
            )
        return version


def _note(row: sqlite3.Row) -> Note:
    try:
        tags = json.loads(row["tags"])
    except json.JSONDecodeError:
        tags = []
    return Note(row["text"], bool(row["star"]), tuple(str(tag) for tag in tags))
