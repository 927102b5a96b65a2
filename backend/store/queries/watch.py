"""Whether a store has changed: what a cache of its contents is keyed on."""

from __future__ import annotations

import contextlib
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from backend.store.connection import as_store_error, data_version, open_readonly


class StoreWatch:
    """One connection kept open for ``PRAGMA data_version``, which counts within a connection only.

    A commit in WAL mode does not touch the main file's time of change, so file times cannot do this. The
    connection lives in one thread of its own and any thread may ask.
    """

    def __init__(self, path: str | Path) -> None:
        """Open the store.

        Args:
            path: the store.

        Raises:
            StoreError: see ``open_readonly``.
        """
        self.path = Path(path)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store-watch")
        try:
            self._connection = self._thread.submit(open_readonly, self.path).result()
        except BaseException:
            self._thread.shutdown(wait=False)
            raise
        self._file = self._identity()

    def _identity(self) -> tuple[int, int] | None:
        with contextlib.suppress(OSError):
            status = self.path.stat()
            return status.st_dev, status.st_ino
        return None

    def version(self) -> str | None:
        """A word that changes with every commit of another connection; None once the file was replaced.

        Raises:
            StoreError: SQLite cannot read the file any more.
        """
        if self._identity() != self._file:
            return None
        try:
            number = self._thread.submit(data_version, self._connection).result()
        except sqlite3.Error as error:
            raise as_store_error(error, self.path) from error
        return f"{self._file}:{number}"

    def close(self) -> None:
        """Close the connection and end its thread."""
        self._thread.submit(self._connection.close).result()
        self._thread.shutdown()
