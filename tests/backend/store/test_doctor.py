"""The doctor finds every planted fault and repairs what has one right answer."""

import dataclasses
import shutil
import sqlite3
from contextlib import closing

import pytest

from backend.errors import StoreError
from backend.evaluation.metrics import summarise
from backend.store.connection import StoreMissing
from backend.store.doctor import examine, treat
from backend.store.writer import RunStore


def kinds(problems):
    return sorted({problem.kind for problem in problems})


def test_a_sound_store_has_no_problems(sound):
    path, _ = sound
    assert examine(path) == []
    assert treat(path) == ([], [])


@pytest.mark.parametrize(
    ("sql", "kind", "detail"),
    [
        (
            "UPDATE metric SET value = value + 2e-6 WHERE metric = 'mcc' AND defect IS NULL",
            "metric",
            "the predictions give",
        ),
        ("UPDATE metric SET value = NULL WHERE metric = 'auroc'", "metric", "undefined without a reason"),
        (
            "UPDATE prediction SET y_pred = 1 - y_pred WHERE fruit_id = 'fruit-7'",
            "metric",
            "the predictions give",
        ),
        (
            "DELETE FROM prediction WHERE fruit_id = 'fruit-7' AND defect = 'bruising'",
            "metric",
            "missing for some",
        ),
        ("DELETE FROM run_fold WHERE fold = 0", "incomplete", "complete with 1 of 2 folds"),
        ("UPDATE fruit SET fruit_group = 'one pallet'", "group", "'one pallet' are in several folds"),
        ("UPDATE study SET folds = '{\"fruit-7\": 1}'", "fold", "fold 0 predicts 6 fruit of other folds"),
        ("UPDATE run SET params = '{' ", "json", "2 rows hold no JSON"),
        ("UPDATE study SET folds = 'x' ", "json", "1 rows hold no JSON"),
        ("UPDATE run SET study_id = 'nobody'", "reference", "2 rows of run point to a missing study"),
    ],
)
def test_planted_faults_are_found_and_left_for_people(sound, sql, kind, detail, plant):
    path, _ = sound
    plant(path, sql)
    found = [problem for problem in examine(path) if problem.kind == kind]
    assert any(detail in problem.detail for problem in found), examine(path)
    _, left = treat(path)
    assert {problem for problem in left if problem.kind == kind} == set(found)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE defect_confusion SET tp = tp + 1 WHERE fold = 1",
        "UPDATE defect_confusion SET tn = 0 WHERE fold IS NULL",
        "DELETE FROM defect_confusion",
        "INSERT INTO class_confusion SELECT run_id, 0, 'a', 'b', 3 FROM run",
    ],
)
def test_wrong_confusion_matrices_are_counted_again(sound, contents, sql, plant):
    path, _ = sound
    before = contents(path)
    plant(path, sql)
    assert kinds(examine(path)) == ["confusion"]
    repaired, left = treat(path)
    assert (kinds(repaired), left) == (["confusion"], [])
    assert contents(path) == before


def test_class_confusions_are_checked_too(store, fill, classes, store_path, plant):
    run_id = fill(store, classes)
    store.finish_run(run_id, [])
    store.finish_study("study-1", "complete", {})
    store.close()
    assert [p for p in examine(store_path) if p.kind == "confusion"] == []
    plant(store_path, "UPDATE class_confusion SET n = n + 1")
    assert kinds(examine(store_path)) == ["confusion"]
    assert treat(store_path)[1] == []


def test_files_are_checked_and_orphans_go_to_the_trash(sound, plant):
    path, (first, second) = sound
    root = path.parent / "artifacts" / "store"
    (root / first / "fold0" / "heat.png").unlink()
    (root / second / "fold1" / "heat.png").write_bytes(b"changed")
    orphan = root / "somebody" / "old.bin"
    orphan.parent.mkdir()
    orphan.write_bytes(b"precious")
    (path.parent / "artifacts" / "other store").mkdir()
    (path.parent / "artifacts" / "other store" / "file").touch()
    plant(path, "INSERT INTO artifact VALUES (?, 'evil', 'x', '../../etc/passwd', 'x', 1, NULL)", first)
    problems = examine(path)
    assert kinds(problems) == ["artifact", "checksum", "orphan"]
    assert [p.where for p in problems if p.kind == "orphan"] == ["artifacts/store/somebody/old.bin"]
    assert sorted(p.detail for p in problems if p.kind == "artifact") == [
        "artifact name '../../etc/passwd'",
        f"the file artifacts/store/{first}/fold0/heat.png is missing",
    ]
    repaired, left = treat(path)
    assert kinds(repaired) == ["orphan"]
    assert kinds(left) == ["artifact", "checksum"]
    assert not orphan.parent.exists()
    assert [file.read_bytes() for file in (root / ".trash").rglob("*") if file.is_file()] == [b"precious"]
    assert (path.parent / "artifacts" / "other store" / "file").exists()


def test_files_of_a_store_that_shares_the_folder_are_left_alone(sound, plant):
    path, (first, _) = sound
    copy = path.with_suffix(".bak")
    shutil.copyfile(path, copy)
    (path.parent / "store.log").write_text("no store")
    plant(copy, "DELETE FROM artifact WHERE run_id = ?", first)
    files = sorted(path.parent.rglob("*.png"))
    _, (left,) = treat(copy)
    assert (left.kind, left.where) == ("orphan", "artifacts/store")
    assert left.detail.startswith("2 files stay that no run names: store.db beside store.bak may need them")
    assert sorted(path.parent.rglob("*.png")) == files
    assert examine(path) == []
    shutil.move(path, path.parent.parent)
    repaired, _ = treat(copy)
    assert kinds(repaired) == ["orphan"]


def test_what_nothing_runs_is_marked_interrupted_but_a_live_driver_is_left_alone(
    store, start, make_run, store_path
):
    start(store)
    run = make_run()
    store.start_run(run)
    (store_path.parent / "artifacts" / "store" / run.run_id).mkdir(parents=True)
    (store_path.parent / "artifacts" / "store" / run.run_id / "half").touch()
    assert examine(store_path) == []
    with pytest.raises(StoreError, match="another writer"):
        treat(store_path)
    store.close()
    assert kinds(examine(store_path)) == ["orphan", "stale"]
    repaired, left = treat(store_path)
    assert (len(repaired), left) == (3, [])
    with RunStore(store_path) as again:
        assert again.run_status(run.run_id) == "interrupted"
        assert again.study("study-1").status == "interrupted"


def test_a_damaged_index_is_rebuilt(sound):
    path, _ = sound
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        # Rows written while the index is out of sight are missing from it.
        row = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'run_by_start'").fetchone()
        connection.execute(
            "UPDATE sqlite_master SET sql = ? WHERE name = 'run_by_start'", (row[0] + " WHERE seed < 0",)
        )
        connection.commit()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE run SET started = '2020-01-01T00:00:00+00:00' WHERE seed >= 0")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'run_by_start'", (row[0],))
        connection.commit()
    assert kinds(examine(path)) == ["corrupt"]
    repaired, left = treat(path)
    assert (kinds(repaired), left) == (["corrupt"], [])


def test_the_doctor_makes_no_store(tmp_path):
    for look in (examine, treat):
        with pytest.raises(StoreMissing):
            look(tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_the_evaluation_and_the_doctor_agree(store, fill, dataset, classes, store_path, make_fold, task):
    data = dataset if task == "multilabel" else classes

    def summary(predictions):
        kinds = {defect.name: defect.kind for defect in data.defects}
        return summarise(predictions, task=task, healthy="a-quality", kinds=kinds)

    run_id = fill(store, data)
    for fold in (0, 1):
        bundle = make_fold(data, fold)
        store.write_fold(run_id, dataclasses.replace(bundle, metrics=tuple(summary(bundle.predictions))))
    store.finish_run(run_id, summary(store.load_predictions(run_id)))
    checked = store.value("SELECT COUNT(*) FROM metric WHERE value IS NOT NULL")
    assert checked > 30
    store.finish_study("study-1", "complete", {})
    store.close()
    assert examine(store_path) == []


def test_a_clock_that_was_set_back_harms_nothing(
    store, start, make_run, make_fold, dataset, store_path, monkeypatch
):
    start(store)
    run = make_run()
    store.start_run(run)
    monkeypatch.setattr("backend.store.writer.utc_now", lambda: "1970-01-01T00:00:00.000000+00:00")
    for fold in (0, 1):
        store.write_fold(run.run_id, make_fold(dataset, fold))
    store.close()
    with RunStore(store_path) as resumed:
        resumed.recover()
        assert resumed.finished_folds(run.run_id) == {0, 1}
        resumed.start_study(resumed.study("study-1"))
        resumed.start_run(run)
        resumed.finish_run(run.run_id, [])
        resumed.finish_study("study-1", "complete", {})
        assert resumed.row("SELECT status, seconds FROM run")[1] == 4.0
    assert [problem for problem in examine(store_path) if problem.kind != "metric"] == []
