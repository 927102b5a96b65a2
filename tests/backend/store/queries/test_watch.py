"""The read side notices what is written and writes nothing itself."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from backend.store.connection import StoreMissing
from backend.store.queries import StoreWatch
from backend.store.writer import RunStore


def test_the_watch_sees_commits_and_replaced_files(tmp_path: Path, data_set) -> None:
    path = tmp_path / "s.db"
    with RunStore(path) as store:
        watch = StoreWatch(path)
        before = watch.version()
        assert watch.version() == before
        store.add_dataset(data_set(), [])
        assert watch.version() != before
    path.unlink()
    RunStore(path).close()
    assert watch.version() is None
    watch.close()


def test_the_watch_needs_a_store(tmp_path: Path) -> None:
    with pytest.raises(StoreMissing):
        StoreWatch(tmp_path / "none.db")


def test_the_read_side_cannot_write(connection) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM run")
