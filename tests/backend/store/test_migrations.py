"""An older store is migrated, or nothing happens; the steps added here follow the real ones."""

import sqlite3
from contextlib import closing

import pytest

from backend.errors import StoreError
from backend.store import backup, migrations
from backend.store.migrations import open_for_writing
from backend.store.schema import SCHEMA_VERSION, TABLES


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


def test_a_store_that_lacks_an_index_gets_it(store, fill, store_path):
    fill(store)
    store.close()
    with closing(sqlite3.connect(store_path)) as connection:
        connection.execute("DROP INDEX run_by_choice")
    with closing(open_for_writing(store_path)) as connection:
        found = connection.execute("SELECT COUNT(*) FROM sqlite_master WHERE name = 'run_by_choice'")
        assert found.fetchone()[0] == 1


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
