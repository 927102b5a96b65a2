"""Opening: every wrong file gets its line, an old store is migrated, and there is one writer."""

import json
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from backend.errors import StoreError
from backend.store import backup, migrations
from backend.store.connection import StoreMissing, data_version, open_readonly, utc_now
from backend.store.environment import environment, git_commit
from backend.store.locking import StoreLock, lock_holder, lock_path
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


# Migration: the steps below are synthetic and follow the real ones.


def add_note(database):
    database.table("run").add_column("note", str, not_null_default="")


def split_names(database):
    database.table("study").transform(rename={"metric": "objective"})


def test_an_older_store_is_migrated_with_a_verified_backup(store, fill, store_path, contents):
    run_id = fill(store)
    store.close()
    before = contents(store_path)
    with closing(
        open_for_writing(store_path, steps=(*migrations.STEPS, add_note, split_names))
    ) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION + 2
        row = connection.execute("SELECT run_id, note FROM run").fetchone()
        assert tuple(row) == (run_id, "")
        assert connection.execute("SELECT objective FROM study").fetchone()[0] == "mcc"
        assert connection.execute("PRAGMA foreign_keys").fetchone()[0] == 1
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    assert contents(store_path.with_name(f"store.db.v{SCHEMA_VERSION}.bak")) == before


def test_migration_goes_on_from_the_version_that_is_there(store, store_path):
    store.close()
    open_for_writing(store_path, steps=(*migrations.STEPS, add_note)).close()
    open_for_writing(store_path, steps=(*migrations.STEPS, add_note, split_names)).close()
    assert store_path.with_name(f"store.db.v{SCHEMA_VERSION + 1}.bak").exists()
    with pytest.raises(StoreError, match="newer than this program"):
        open_for_writing(store_path, steps=(*migrations.STEPS, add_note))


@pytest.mark.parametrize("damage", ["raises", "orphans"])
def test_a_migration_that_fails_changes_nothing(store, fill, store_path, contents, damage):
    fill(store)
    store.close()
    before = contents(store_path)

    def broken(database):
        add_note(database)
        if damage == "raises":
            database.execute("INSERT INTO nowhere VALUES (1)")
        database.execute("UPDATE run SET study_id = 'nobody'")

    with pytest.raises(StoreError):
        open_for_writing(store_path, steps=(*migrations.STEPS, broken))
    assert contents(store_path) == before


def test_a_store_of_version_1_gets_the_tables_of_today(store, fill, store_path):
    run_id = fill(store)
    store.connection.executescript(
        "DROP TABLE neighbour; DROP TABLE finding; ALTER TABLE comparison DROP COLUMN effect_size; "
        "ALTER TABLE comparison DROP COLUMN n_needed; PRAGMA user_version = 1"
    )
    store.close()
    with closing(open_for_writing(store_path)) as old, closing(sqlite3.connect(":memory:")) as new:
        for statement in TABLES.values():
            new.execute(statement)
        for name in TABLES:
            columns = [
                [tuple(row)[1:] for row in connection.execute(f"PRAGMA table_info({name})")]
                for connection in (old, new)
            ]
            assert columns[0] == columns[1], name
        assert old.execute("SELECT run_id FROM run").fetchone()[0] == run_id
    assert store_path.with_name("store.db.v1.bak").exists()


def test_steps_lead_to_the_newest_version():
    assert len(migrations.STEPS) == SCHEMA_VERSION - 1


def test_no_migration_without_a_good_backup(store, store_path, monkeypatch, contents):
    store.close()
    before = contents(store_path)
    monkeypatch.setattr(backup, "integrity_faults", lambda connection: ["a page is damaged"])
    with pytest.raises(StoreError, match="the copy is not right: a page is damaged"):
        open_for_writing(store_path, steps=(*migrations.STEPS, add_note))
    assert contents(store_path) == before
    assert not store_path.with_name(f"store.db.v{SCHEMA_VERSION}.bak").exists()


# One writer


def test_a_second_writer_is_told_who_is_first(store, store_path):
    with pytest.raises(
        StoreError, match=rf"another writer has the store: process {os.getpid()} on .*\(tests\)"
    ):
        RunStore(store_path)
    assert lock_holder(store_path)["purpose"] == "tests"
    store.close()
    store.close()
    assert lock_holder(store_path) is None
    RunStore(store_path).close()


def test_a_crash_releases_the_lock(store_path):
    code = (
        "import os, sys; from backend.store.writer import RunStore\n"
        "store = RunStore(sys.argv[1], 'victim'); print('ready', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(store_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"ready\n"
    with pytest.raises(StoreError, match=rf"process {process.pid} on .*\(victim\)"):
        RunStore(store_path)
    process.kill()
    process.communicate()
    RunStore(store_path).close()


def test_a_forked_worker_does_not_keep_the_lock(tmp_path):
    store = tmp_path / "store.db"
    lock = StoreLock(store)
    context = multiprocessing.get_context("fork")
    event = context.Event()
    worker = context.Process(target=event.wait, args=(20,))
    worker.start()
    try:
        time.sleep(0.05)
        lock.release()
        StoreLock(store).release()
    finally:
        event.set()
        worker.join()


def test_an_unreadable_lock_file_is_no_obstacle(tmp_path):
    store = tmp_path / "store.db"
    lock_path(store).write_text("not json")
    assert lock_holder(store) is None
    lock = StoreLock(store)
    lock_path(store).write_text("[]")
    with pytest.raises(StoreError, match="another writer"):
        StoreLock(store)
    lock.release()


def test_lineage_names_commit_packages_and_machine():
    facts = environment("cuda:0", 2)
    assert (facts["device"], facts["threads"]) == ("cuda:0", 2)
    assert facts["packages"]["numpy"].count(".") >= 1
    assert json.loads(json.dumps(facts)) == facts
    commit = git_commit()
    assert commit is None or len(commit.removesuffix("-dirty")) == 40


def test_lineage_imports_no_torch():
    code = (
        "import sys; from backend.store import environment as e; e.environment(); e.git_commit();"
        "print([m for m in ('torch', 'pandas', 'sklearn', 'streamlit') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_times_sort_as_text():
    first = utc_now()
    assert first <= utc_now()
    assert first.endswith("+00:00")
