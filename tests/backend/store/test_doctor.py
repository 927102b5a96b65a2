"""The doctor finds every planted fault, repairs what has one right answer, and saves what can be read."""

import dataclasses
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from sklearn import metrics as sklearn

from backend.errors import StoreError
from backend.evaluation.metrics import summarise
from backend.store import salvage as salvage_module
from backend.store.bundle import ArtifactData, MetricValue, Predictions
from backend.store.connection import StoreMissing
from backend.store.doctor import examine, treat
from backend.store.recompute import recompute
from backend.store.rows import ComparisonRow
from backend.store.salvage import salvage
from backend.store.writer import RunStore


@pytest.fixture
def sound(store, fill, store_path):
    """A closed store with two complete runs whose metrics are right; returns path and run ids."""
    runs = []
    for seed in (0, 1):
        run_id = fill(store, seed=seed)
        values = recompute(store.load_predictions(run_id), "multilabel")
        store.finish_run(
            run_id, [MetricValue(name, value, defect) for (name, defect), value in values.items()]
        )
        runs.append(run_id)
    store.add_comparisons([ComparisonRow(*runs, "mcc", "McNemar", delta=0.1)])
    store.finish_study("study-1", "complete", {})
    store.close()
    return store_path, runs


def plant(path, sql, *values):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(sql, values)
        connection.commit()


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
def test_planted_faults_are_found_and_left_for_people(sound, sql, kind, detail):
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
def test_wrong_confusion_matrices_are_counted_again(sound, contents, sql):
    path, _ = sound
    before = contents(path)
    plant(path, sql)
    assert kinds(examine(path)) == ["confusion"]
    repaired, left = treat(path)
    assert (kinds(repaired), left) == (["confusion"], [])
    assert contents(path) == before


def test_class_confusions_are_checked_too(store, fill, classes, store_path):
    run_id = fill(store, classes)
    store.finish_run(run_id, [])
    store.finish_study("study-1", "complete", {})
    store.close()
    assert [p for p in examine(store_path) if p.kind == "confusion"] == []
    plant(store_path, "UPDATE class_confusion SET n = n + 1")
    assert kinds(examine(store_path)) == ["confusion"]
    assert treat(store_path)[1] == []


def test_files_are_checked_and_orphans_go_to_the_trash(sound):
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


# The oracle itself, against scikit-learn


@pytest.mark.parametrize("seed", range(5))
def test_recomputed_metrics_are_those_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    n, names = 200, ("a", "b", "c")
    truth = (rng.random((n, 3)) < 0.3).astype(np.float32)
    truth[rng.random((n, 3)) < 0.1] = np.nan
    score = np.round(rng.random((n, 3)), 1 + seed % 3).astype(np.float32)  # ties
    called = (score > 0.6).astype(np.uint8)
    values = recompute(Predictions(tuple(map(str, range(n))), names, truth, score, called), "multilabel")
    for column, name in enumerate(names):
        known = ~np.isnan(truth[:, column])
        t, p, s = truth[known, column], called[known, column], score[known, column]
        for metric, right in {
            "mcc": sklearn.matthews_corrcoef(t, p),
            "accuracy": sklearn.accuracy_score(t, p),
            "balanced_accuracy": sklearn.balanced_accuracy_score(t, p),
            "f1": sklearn.f1_score(t, p),
            "precision": sklearn.precision_score(t, p),
            "recall": sklearn.recall_score(t, p),
            "auroc": sklearn.roc_auc_score(t, s),
            "average_precision": sklearn.average_precision_score(t, s),
        }.items():
            assert values[metric, name] == pytest.approx(right, abs=1e-9), (metric, name)
    for metric in ("mcc", "auroc"):
        assert values[metric, None] == pytest.approx(np.mean([values[metric, name] for name in names]))


def test_recomputed_multiclass_metrics_are_those_of_scikit_learn():
    rng = np.random.default_rng(3)
    truth, called = rng.integers(0, 4, 150), rng.integers(0, 4, 150)
    called[:80] = truth[:80]
    eye = np.eye(4)
    values = recompute(
        Predictions(
            tuple(map(str, range(150))),
            tuple("abcd"),
            eye[truth].astype(np.float32),
            rng.random((150, 4), dtype=np.float32),
            eye[called].astype(np.uint8),
        ),
        "multiclass",
    )
    assert values["mcc", None] == pytest.approx(sklearn.matthews_corrcoef(truth, called))
    assert values["accuracy", None] == pytest.approx(sklearn.accuracy_score(truth, called))
    assert values["balanced_accuracy", None] == pytest.approx(sklearn.balanced_accuracy_score(truth, called))


def test_what_is_undefined_has_no_value():
    def one(truth, called):
        shape = (len(truth), 1)
        return recompute(
            Predictions(
                tuple(map(str, range(len(truth)))),
                ("a",),
                np.array(truth, np.float32).reshape(shape),
                np.linspace(0, 1, len(truth), dtype=np.float32).reshape(shape),
                np.array(called, np.uint8).reshape(shape),
            ),
            "multilabel",
        )

    nobody = one([np.nan, np.nan], [0, 1])
    assert nobody == {}
    healthy = one([0, 0, np.nan], [0, 1, 1])
    assert set(healthy) == {("accuracy", "a"), ("accuracy", None)}
    passed = one([0, 1, 1], [0, 0, 0])
    assert passed["mcc", "a"] == 0
    assert ("precision", "a") not in passed
    assert recompute(Predictions((), (), *(np.zeros((0, 0), t) for t in "ffB")), "multiclass") == {}


# Salvage


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
    problems = examine(large)
    assert "corrupt" in kinds(problems)
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
    left = examine(tmp_path / "saved" / "saved.db")
    assert not {"corrupt", "reference", "artifact", "checksum", "orphan"} & set(kinds(left))


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


def test_salvage_gives_up_in_time_and_says_when_nothing_is_left(sound, tmp_path, monkeypatch):
    path, _ = sound
    monkeypatch.setattr(salvage_module, "BUDGET", 3)
    salvage(path, tmp_path / "one.db")
    plant(path, "PRAGMA user_version = 0")
    with pytest.raises(StoreError, match="no table of a run store can be read"):
        salvage(path, tmp_path / "two.db")
    (tmp_path / "text.db").write_text("hello, this is no store at all, only text" * 200)
    with pytest.raises(StoreError, match="not an SQLite file"):
        salvage(tmp_path / "text.db", tmp_path / "three.db")


def test_a_run_outlives_its_lost_pretraining(store, fill, make_run, store_path, tmp_path):
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
        assert resumed.recover() == {run.run_id: {0, 1}}
        resumed.start_study(resumed.study("study-1"))
        resumed.start_run(run)
        resumed.finish_run(run.run_id, [])
        resumed.finish_study("study-1", "complete", {})
        assert resumed.row("SELECT status, seconds FROM run")[1] == 4.0
    assert [problem for problem in examine(store_path) if problem.kind != "metric"] == []
