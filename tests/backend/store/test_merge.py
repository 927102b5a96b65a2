"""Merging: twice is once, the further run wins, and nothing from a strange store leaves its folder."""

import hashlib
import sqlite3
from contextlib import closing

import pytest

from backend.errors import StoreError
from backend.store.bundle import ArtifactData, AttributionData, MetricValue
from backend.store.doctor import examine
from backend.store.merge import merge
from backend.store.rows import ComparisonRow
from backend.store.writer import RunStore


@pytest.fixture
def other(tmp_path, fill):
    """Another machine's store with two runs and a comparison."""
    path = tmp_path / "other" / "theirs.db"
    with RunStore(path) as store:
        runs = [fill(store, seed=seed) for seed in (0, 1)]
        store.add_comparisons([ComparisonRow(*runs, "mcc", "McNemar", delta=0.1, verdict="better")])
        store.finish_study("study-1", "complete", {})
    return path


def test_everything_comes_along_once(other, tmp_path, contents):
    target = tmp_path / "here" / "ours.db"
    (first,) = merge(target, [other])
    assert (len(first.added), first.replaced, first.known, first.artifacts, first.refused) == (
        2,
        [],
        0,
        4,
        [],
    )
    once = contents(target)
    theirs = contents(other)
    for table in theirs.keys() - {"artifact", "attribution"}:
        assert once[table] == theirs[table], table
    (second,) = merge(target, [other])
    assert (second.added, second.replaced, second.known) == ([], [], 2)
    assert contents(target) == once
    assert [problem for problem in examine(target) if problem.kind != "metric"] == []
    with RunStore(target) as store:
        path = store.artifact_path(first.added[0], "fold1/heat.png")
        assert path.is_relative_to(tmp_path / "here" / "artifacts" / "ours")
        assert store.value("SELECT COUNT(*) FROM attribution WHERE path LIKE 'artifacts/ours/%'") == 4


def test_stores_that_overlap_become_one(tmp_path, fill, contents):
    paths = []
    for name, seeds in {"a": (0, 1), "b": (1, 2), "all": (0, 1, 2)}.items():
        with RunStore(tmp_path / name / "store.db") as store:
            for seed in seeds:
                fill(store, seed=seed)
        paths.append(tmp_path / name / "store.db")
    with RunStore(paths[2]) as store:
        store.recover()  # what merge does with studies that run elsewhere
    merge(tmp_path / "merged" / "store.db", paths[:2])
    assert contents(tmp_path / "merged" / "store.db") == contents(paths[2])


def test_the_further_run_wins_whichever_side_it_is_on(tmp_path, start, make_run, make_fold, dataset):
    ours, theirs = tmp_path / "ours.db", tmp_path / "theirs.db"
    runs = [make_run(seed) for seed in range(3)]
    for path, folds in ((ours, (0, 2, 1)), (theirs, (1, 1, 2))):
        with RunStore(path) as store:
            start(store)
            for run, n in zip(runs, folds, strict=True):
                store.start_run(run)
                for fold in range(n):
                    store.write_fold(run.run_id, make_fold(dataset, fold, run.seed))
            if path == theirs:
                store.finish_run(runs[2].run_id, [MetricValue("mcc", 0.5)])
            else:
                store.add_comparisons([ComparisonRow(runs[0].run_id, runs[2].run_id, "mcc", "McNemar")])
    (result,) = merge(ours, [theirs])
    assert result.replaced == [runs[0].run_id, runs[2].run_id]
    assert (result.added, result.known) == ([], 1)
    with RunStore(ours) as store:
        assert [len(store.finished_folds(run.run_id)) for run in runs] == [1, 2, 2]
        # The driver of theirs is not ours: its run is not running here; ours was left by its own driver.
        assert [store.run_status(run.run_id) for run in runs] == ["interrupted", "running", "complete"]
        assert store.value("SELECT COUNT(*) FROM comparison") == 1
        assert store.study("study-1").status == "running"
    assert merge(ours, [theirs])[0].known == 3


def test_a_study_that_has_ended_since_the_last_merge_has_ended_here_too(tmp_path, fill, contents):
    ours, theirs = tmp_path / "ours.db", tmp_path / "theirs.db"
    with RunStore(theirs) as store:
        fill(store)
    merge(ours, [theirs])
    with RunStore(theirs) as store:
        store.update_progress("study-1", {"stage": "data report"})
        store.finish_study("study-1", "complete", {"runs": {"complete": 1}})
    for _ in range(2):
        merge(ours, [theirs])
        assert contents(ours)["study"] == contents(theirs)["study"]
    with RunStore(theirs) as store:  # started again there: what has ended here stays so
        store.start_study(store.study("study-1"))
    merge(ours, [theirs])
    assert contents(ours)["study"] != contents(theirs)["study"]
    with RunStore(ours) as store:
        assert store.study("study-1").status == "complete"


def test_a_pretraining_may_come_after_its_child(tmp_path, fill, make_run):
    theirs = tmp_path / "theirs.db"
    with RunStore(theirs) as store:
        parent = fill(store)
        child = make_run(4, kind="finetune", parent=parent)
        store.start_run(child)
        store.connection.execute("UPDATE run SET started = '1999' WHERE run_id = ?", (child.run_id,))
    (result,) = merge(tmp_path / "ours.db", [theirs])
    assert result.added == [child.run_id, parent]


@pytest.fixture
def hostile(other):
    def change(sql, *values):
        with closing(sqlite3.connect(other)) as connection:
            connection.execute(sql, values)
            connection.commit()
        return other

    return change


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("UPDATE artifact SET path = '../secret.txt'", "artifact name '../secret.txt'"),
        ("UPDATE artifact SET path = '/etc/passwd'", "artifact name '/etc/passwd'"),
        ("UPDATE artifact SET path = 'artifacts/trap/secret.txt'", "leads outside"),
        ("UPDATE artifact SET name = '../../../evil'", "artifact name '../../../evil'"),
        ("UPDATE artifact SET sha256 = 'f00'", "the content does not have its checksum"),
        ("UPDATE artifact SET path = 'artifacts/theirs/nothing'", "the file is missing"),
    ],
)
def test_strange_files_are_refused_and_the_numbers_taken(hostile, tmp_path, sql, reason):
    (tmp_path / "secret.txt").write_text("secret")
    trap = tmp_path / "other" / "artifacts" / "trap"
    trap.parent.mkdir(exist_ok=True)
    trap.symlink_to(tmp_path)
    source = hostile(sql + " WHERE fold = 0 AND run_id = (SELECT MIN(run_id) FROM run)")
    outside = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    target = tmp_path / "here" / "ours.db"
    (result,) = merge(target, [source])
    assert len(result.refused) == 1
    assert reason in result.refused[0]
    assert (len(result.added), result.artifacts) == (2, 3)
    new = {path for path in tmp_path.rglob("*") if path.is_file()} - set(outside)
    # SQLite keeps two helper files beside a store that is read.
    assert {path.name for path in new if not path.is_relative_to(tmp_path / "here")} <= {
        "theirs.db-wal",
        "theirs.db-shm",
    }
    assert not any(path.read_bytes() == b"secret" for path in new)
    with RunStore(target) as store:
        assert store.value("SELECT COUNT(*) FROM attribution") == 3


def test_a_run_id_that_is_a_path_is_refused(tmp_path, fill):
    theirs = tmp_path / "theirs.db"
    with RunStore(theirs) as store:
        fill(store)
        store.connection.execute("PRAGMA foreign_keys = OFF")
        for table in (
            "run",
            "run_fold",
            "curve",
            "metric",
            "prediction",
            "artifact",
            "attribution",
            "embedding",
        ):
            store.connection.execute(f"UPDATE {table} SET run_id = '../../evil'")
        store.connection.execute("UPDATE defect_confusion SET run_id = '../../evil'")
    (result,) = merge(tmp_path / "here" / "ours.db", [theirs])
    assert result.refused == ["run '../../evil': not the id of a run"]
    assert not (tmp_path / "here" / "artifacts").exists()


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("UPDATE run SET params = '{'", "no JSON in run.params"),
        ("UPDATE run SET study_id = 'nobody'", "point to a missing study"),
        ("PRAGMA user_version = 9", "newer than this program"),
    ],
)
def test_a_damaged_source_is_not_taken_at_all(hostile, tmp_path, contents, sql, reason):
    target = tmp_path / "here" / "ours.db"
    RunStore(target).close()
    before = contents(target)
    with pytest.raises(StoreError, match=reason):
        merge(target, [hostile(sql)])
    assert contents(target) == before


def test_a_store_is_not_merged_into_itself_nor_while_it_is_written(other, store, store_path):
    with pytest.raises(StoreError, match="another writer"):
        merge(store_path, [other])
    with pytest.raises(StoreError, match="into itself"):
        merge(other, [other.parent / "." / other.name])


def test_no_store_is_made_where_there_is_nothing_to_merge(other, tmp_path):
    target = tmp_path / "new" / "store.db"
    with pytest.raises(StoreError, match="nowhere"):
        merge(target, [other, tmp_path / "nowhere.db"])
    assert not target.parent.exists()


def test_files_that_are_here_already_are_not_copied_again(other, tmp_path):
    target = tmp_path / "here" / "ours.db"
    merge(target, [other])
    file = next((tmp_path / "here").rglob("heat.png"))
    before = file.stat().st_mtime_ns
    with RunStore(target) as store:
        store.connection.execute("DELETE FROM run_fold")  # ours is behind now
        store.connection.execute("UPDATE run SET status = 'interrupted'")
    (result,) = merge(target, [other])
    assert len(result.replaced) == 2
    assert file.stat().st_mtime_ns == before


def test_artifact_kinds_and_sizes_survive(tmp_path, fill):
    theirs = tmp_path / "theirs.db"
    with RunStore(theirs) as store:
        run_id = fill(store)
        store.add_attributions(
            run_id,
            [AttributionData("fruit-9", "bruising", "rgb", "1", "after/map.png", {"iou": 0.25})],
            [ArtifactData("after/map.png", "heat map", b"0123456789")],
        )
    merge(tmp_path / "ours" / "ours.db", [theirs])
    with RunStore(tmp_path / "ours" / "ours.db") as store:
        row = store.row("SELECT kind, bytes, sha256, fold FROM artifact WHERE name = 'after/map.png'")
        assert tuple(row) == ("heat map", 10, hashlib.sha256(b"0123456789").hexdigest(), None)
        assert store.value("SELECT scores FROM attribution WHERE fruit_id = 'fruit-9'") == '{"iou":0.25}'
