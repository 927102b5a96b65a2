"""Opening: every wrong file gets its line, and readers only read."""

import sqlite3
from contextlib import closing

import pytest

from backend.errors import StoreError
from backend.store.connection import StoreMissing, data_version, open_readonly, utc_now
from backend.store.locking import lock_holder
from backend.store.migrations import open_for_writing
from backend.store.schema import SCHEMA_VERSION, TABLES
from backend.store.writer import RunStore


def make_foreign(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
        connection.execute("INSERT INTO recipes VALUES ('guacamole')")
        connection.commit()


def make_newer(path):
    open_for_writing(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 3}")


def make_corrupt(path):
    open_for_writing(path).close()
    data = bytearray(path.read_bytes())
    data[100:4096] = b"\xff" * 3996
    path.write_bytes(data)


def make_text(path):
    path.write_text("fruit_id,label\nfruit-1,ripe\n" * 100)


WRONG = {
    "foreign": (make_foreign, "not a run store but another program's SQLite file"),
    "newer": (make_newer, f"schema version {SCHEMA_VERSION + 3}, newer.*at most version {SCHEMA_VERSION}"),
    "corrupt": (make_corrupt, "the store is corrupt"),
    "text": (make_text, "not a run store"),
    "folder": (lambda path: path.mkdir(), "this is not a file"),
}


@pytest.mark.parametrize("opener", [open_readonly, open_for_writing, RunStore])
@pytest.mark.parametrize("kind", WRONG)
def test_wrong_files_are_refused_with_one_line_and_left_alone(tmp_path, kind, opener):
    path = tmp_path / "store.db"
    make, message = WRONG[kind]
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(StoreError, match=message) as caught:
        opener(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert (path.read_bytes() if path.is_file() else b"") == before
    assert lock_holder(path) is None


def test_missing_and_empty_stores_are_a_kind_of_their_own(tmp_path):
    path = tmp_path / "store.db"
    with pytest.raises(StoreMissing, match="no such file"):
        open_readonly(path)
    assert list(tmp_path.iterdir()) == []
    path.touch()
    with pytest.raises(StoreMissing, match="empty"):
        open_readonly(path)
    open_for_writing(path).close()
    open_readonly(path).close()


def test_older_store_is_refused_for_reading_with_the_way_out(tmp_path, monkeypatch):
    path = tmp_path / "store.db"
    open_for_writing(path).close()
    monkeypatch.setattr("backend.store.connection.check_version.__defaults__", (SCHEMA_VERSION + 1,))
    line = f"older schema version {SCHEMA_VERSION}; expected version {SCHEMA_VERSION + 1}; .*doctor --fix"
    with pytest.raises(StoreError, match=line):
        open_readonly(path)


def test_a_new_store_has_the_tables_of_the_contract(tmp_path):
    path = tmp_path / "new" / "folder" / "store.db"
    with closing(open_for_writing(path)) as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert names == set(TABLES)
        pragmas = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("user_version", "journal_mode", "synchronous", "foreign_keys")
        }
    assert pragmas == {
        "user_version": SCHEMA_VERSION,
        "journal_mode": "wal",
        "synchronous": 1,
        "foreign_keys": 1,
    }


def test_readers_cannot_write(store, store_path):
    with closing(open_readonly(store_path)) as connection, pytest.raises(sqlite3.OperationalError):
        connection.execute("DELETE FROM run")


def test_readers_notice_a_commit(store, start, store_path):
    with closing(open_readonly(store_path)) as connection:
        before = data_version(connection)
        assert data_version(connection) == before
        start(store)
        assert data_version(connection) != before


def test_a_store_on_read_only_media_can_be_read(store, fill, store_path):
    run_id = fill(store)
    store.close()
    store_path.chmod(0o444)
    store_path.parent.chmod(0o555)
    try:
        with closing(open_readonly(store_path)) as connection:
            assert connection.execute("SELECT run_id FROM run").fetchone()[0] == run_id
    finally:
        store_path.parent.chmod(0o755)


def test_a_protected_store_is_not_written(store, store_path):
    store.close()
    store_path.chmod(0o444)
    with pytest.raises(StoreError, match="the store is read-only"):
        RunStore(store_path)
    assert lock_holder(store_path) is None


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="folder cannot be made"):
        RunStore(tmp_path / "file" / "store.db")


def test_times_sort_as_text():
    first = utc_now()
    assert first <= utc_now()
    assert first.endswith("+00:00")
