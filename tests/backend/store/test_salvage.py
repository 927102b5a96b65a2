"""Salvage saves what can be read of a damaged store."""

import errno
import sqlite3
from contextlib import closing

import pytest

from backend.errors import StoreError
from backend.store import salvage as salvage_module
from backend.store.bundle import ArtifactData
from backend.store.doctor import examine
from backend.store.salvage import salvage
from backend.store.writer import RunStore


def damage(path, table, share):
    """Overwrite a share of the leaf pages of one table."""
    with closing(sqlite3.connect(path)) as connection:
        pages = [
            row[0]
            for row in connection.execute(
                "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY pageno", (table,)
            )
        ]
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    assert len(pages) > 4
    hit = pages[:: max(1, round(1 / share))]
    with path.open("r+b") as file:
        for page in hit:
            file.seek((page - 1) * size)
            file.write(b"\xff" * size)
    return len(hit), len(pages)


@pytest.fixture
def large(store, start, make_run, make_fold, dataset, store_path):
    start(store)
    for seed in range(60):
        run = make_run(seed)
        store.start_run(run)
        for fold in (0, 1):
            store.write_fold(run.run_id, make_fold(dataset, fold, seed, files=seed == 0))
        store.finish_run(run.run_id, [])
    store.close()
    return store_path


def has_dbstat():
    with closing(sqlite3.connect(":memory:")) as connection:
        return any("DBSTAT" in row[0] for row in connection.execute("PRAGMA compile_options"))


@pytest.mark.skipif(not has_dbstat(), reason="this SQLite cannot say which page belongs to which table")
@pytest.mark.parametrize("table", ["curve", "prediction", "run"])
def test_what_can_be_read_is_saved(large, tmp_path, contents, table):
    before = contents(large)
    hit, pages = damage(large, table, 0.2)
    assert "corrupt" in {problem.kind for problem in examine(large)}
    result = salvage(large, tmp_path / "saved" / "saved.db")
    after = contents(tmp_path / "saved" / "saved.db")
    assert table in result.damaged
    total = len(before[table])
    assert total * (1 - 1.6 * hit / pages) <= result.rows[table] < total
    for name in ("study", "fruit", "dataset"):
        assert after[name] == before[name]
    if table != "run":
        assert after["run"] == before["run"]
        assert result.dropped == {}
        assert result.artifacts == 2
    else:
        # Of a lost run nothing is kept: tables in the order of their runs are not even searched for it.
        assert result.dropped["curve"] == len(before["curve"]) - len(after["curve"]) > 0
        assert len(after["prediction"]) == 20 * result.rows["run"]
    assert set(after[table]) <= set(before[table])
    left = {problem.kind for problem in examine(tmp_path / "saved" / "saved.db")}
    assert not {"corrupt", "reference", "artifact", "checksum", "orphan"} & left


def test_salvage_of_a_sound_store_is_a_copy_with_its_own_files(sound, tmp_path, contents):
    path, (first, _) = sound
    out = tmp_path / "elsewhere" / "copy.db"
    result = salvage(path, out)
    assert (result.damaged, result.dropped, result.artifacts) == ([], {}, 4)
    before, after = contents(path), contents(out)
    for name in before.keys() - {"artifact", "attribution"}:
        assert after[name] == before[name], name
    assert (out.parent / "artifacts" / "copy" / first / "fold0" / "heat.png").is_file()
    assert examine(out) == []
    with pytest.raises(StoreError, match="exists"):
        salvage(path, out)


def test_salvage_gives_up_in_time_and_says_when_nothing_is_left(sound, tmp_path, monkeypatch, plant):
    path, _ = sound
    monkeypatch.setattr(salvage_module, "BUDGET", 3)
    salvage(path, tmp_path / "one.db")
    plant(path, "PRAGMA user_version = 0")
    with pytest.raises(StoreError, match="no table of a run store can be read"):
        salvage(path, tmp_path / "two.db")
    (tmp_path / "text.db").write_text("hello, this is no store at all, only text" * 200)
    with pytest.raises(StoreError, match="file is not a database"):
        salvage(tmp_path / "text.db", tmp_path / "three.db")


def test_what_is_left_of_a_store_that_was_cut_off_is_saved(large, tmp_path, contents):
    whole = contents(large)
    with large.open("r+b") as file:
        file.truncate(large.stat().st_size * 2 // 3)
    with pytest.raises(StoreError, match="salvage"):
        examine(large)
    result = salvage(large, tmp_path / "saved.db")
    assert result.damaged
    assert 0 < result.rows["prediction"] <= len(whole["prediction"])
    assert result.rows["run"] > 0
    assert not [p for p in examine(tmp_path / "saved.db") if p.kind in ("corrupt", "reference")]
    assert not list(tmp_path.glob("*.whole*"))


@pytest.mark.parametrize("cut", [False, True])
def test_a_place_that_takes_nothing_is_said_to_be_so(large, tmp_path, monkeypatch, cut):
    if cut:
        with large.open("r+b") as file:
            file.truncate(large.stat().st_size * 2 // 3)
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"file: nothing can be saved there"):
        salvage(large, tmp_path / "file" / "saved.db")
    assert salvage(large, tmp_path / "new" / "folder" / "saved.db").rows["run"] > 0

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    if cut:
        monkeypatch.setattr("shutil.copyfile", full)
        with pytest.raises(StoreError, match=r"cannot be read or copied to .*No space left"):
            salvage(large, tmp_path / "small.db")


def test_half_a_salvage_leaves_the_name_free(sound, tmp_path, monkeypatch):
    path, _ = sound
    out = tmp_path / "saved.db"

    def full(*arguments):
        raise StoreError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(salvage_module, "_copy_files", full)
        with pytest.raises(StoreError, match="full"):
            salvage(path, out)
    assert not list(tmp_path.glob("saved.db*"))
    assert salvage(path, out).rows["run"]


def test_a_run_outlives_its_lost_pretraining(store, fill, make_run, store_path, tmp_path, plant):
    parent = fill(store)
    child = make_run(7, kind="finetune", parent=parent)
    store.start_run(child)
    store.add_artifact(child.run_id, ArtifactData("card.md", "card", b"x"))
    store.close()
    plant(store_path, "DELETE FROM run WHERE run_id = ?", parent)
    result = salvage(store_path, tmp_path / "saved.db")
    assert result.rows["run"] == 1
    assert (result.rows["prediction"], result.dropped["curve"]) == (0, 6)
    with RunStore(tmp_path / "saved.db") as saved:
        assert saved.row("SELECT run_id, parent_run_id FROM run")[1] is None
