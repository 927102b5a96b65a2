"""A backup is verified before it replaces the old one."""

import shutil

import pytest

from backend.errors import StoreError
from backend.store.backup import back_up
from backend.store.rows import StudyRow
from backend.store.writer import RunStore


def test_a_backup_of_a_store_in_use_is_a_verified_single_file(store, fill, store_path, tmp_path, contents):
    fill(store)
    copy = tmp_path / "safe" / "copy.db"
    rows = back_up(store_path, copy)
    assert contents(copy) == contents(store_path)
    assert rows["prediction"] == 20
    assert [path.name for path in copy.parent.iterdir()] == ["copy.db"]
    fill(store, seed=1)
    assert back_up(store_path, copy)["run"] == 2


@pytest.mark.parametrize("kind", ["text", "another store", "folder"])
def test_what_is_no_copy_of_the_store_is_left_alone(store, fill, store_path, tmp_path, dataset, kind):
    fill(store)
    target = tmp_path / "precious"
    if kind == "text":
        target.write_text("precious")
    elif kind == "folder":
        target.mkdir()
    else:
        with RunStore(target) as other:
            other.add_dataset(dataset, [])
            other.start_study(StudyRow("another", "another", {}, dataset.dataset_id, "mcc", {}))
    before = target.read_bytes() if target.is_file() else b""
    with pytest.raises(StoreError, match=r"no copy of this store.*another name"):
        back_up(store_path, target)
    assert (target.read_bytes() if target.is_file() else b"") == before


def test_a_backup_that_fails_leaves_the_old_one(store, fill, store_path, tmp_path):
    fill(store)
    copy = tmp_path / "copy.db"
    back_up(store_path, copy)
    good = copy.read_bytes()
    store.connection.execute("PRAGMA foreign_keys = OFF")
    store.connection.execute("UPDATE run SET study_id = 'nobody'")
    with pytest.raises(StoreError, match="the copy is not right"):
        back_up(store_path, copy)
    assert copy.read_bytes() == good
    with pytest.raises(StoreError, match="would replace the store"):
        back_up(store_path, store_path)
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        back_up(store_path, tmp_path / "file" / "copy.db")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.db", "file", "runs"]


@pytest.mark.parametrize("more", ["run", "fold"])
def test_an_older_copy_replaces_no_fuller_store(
    store, start, fill, make_run, make_fold, dataset, store_path, tmp_path, more
):
    start(store)
    run = make_run()
    store.start_run(run)
    copy = tmp_path / "copy.db"
    back_up(store_path, copy)
    if more == "run":
        store.start_run(make_run(1))
    else:
        store.write_fold(run.run_id, make_fold(dataset, 0))
    store.close()
    live = store_path.read_bytes()
    with pytest.raises(StoreError, match=r"1 runs that are missing or less complete in .*copy\.db"):
        back_up(copy, store_path)
    assert store_path.read_bytes() == live
    assert back_up(store_path, copy)["study"] == 1


def test_a_store_in_use_is_not_replaced(store, fill, store_path, tmp_path):
    fill(store)
    copy, crashed = tmp_path / "copy.db", tmp_path / "crashed.db"
    back_up(store_path, copy)
    with pytest.raises(StoreError, match=r"a store in use.*another name"):
        back_up(copy, store_path)
    for ending in ("", "-wal"):  # as a killed writer leaves them: what is pending is in the second file
        shutil.copyfile(f"{store_path}{ending}", f"{crashed}{ending}")
    with pytest.raises(StoreError, match=r"a store in use.*another name"):
        back_up(copy, crashed)
