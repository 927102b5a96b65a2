"""A fold is in the store whole or not at all, and comes back as it was."""

import math
import sqlite3

import numpy as np
import pytest

from backend.errors import StoreError
from backend.store.bundle import CurvePoint, FoldBundle, MetricValue, Predictions


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_predictions_come_back_bit_for_bit(store, dataset, classes, fill, make_fold, task):
    data = dataset if task == "multilabel" else classes
    run_id = fill(store, data)
    written = Predictions.concatenate([make_fold(data, fold).predictions for fold in (0, 1)])
    read = store.load_predictions(run_id)
    assert (read.fruit_ids, read.defects) == (written.fruit_ids, written.defects)
    for name in ("y_true", "score", "y_pred"):
        assert getattr(read, name).tobytes() == getattr(written, name).tobytes(), name
        assert getattr(read, name).dtype == getattr(written, name).dtype
    one = store.load_predictions(run_id, fold=1)
    assert one.fruit_ids == make_fold(data, 1).predictions.fruit_ids


def test_a_run_without_predictions_loads_none(store, started_run):
    store.write_fold(started_run.run_id, FoldBundle(0, 1.0))
    empty = store.load_predictions(started_run.run_id)
    assert (empty.fruit_ids, empty.score.shape) == ((), (0, 0))


def test_predictions_with_a_hole_are_not_loaded(store, fill):
    run_id = fill(store)
    store.connection.execute("DELETE FROM prediction WHERE fruit_id = 'fruit-3' AND defect = 'bruising'")
    with pytest.raises(StoreError, match="missing for some fruit"):
        store.load_predictions(run_id)


def test_two_fruit_that_lack_one_defect_each_are_no_whole_fruit(store, fill):
    """Neighbours in the order of the folds, so that their rows together look like one fruit's."""
    run_id = fill(store)
    fruit = store.load_predictions(run_id, fold=0).fruit_ids
    for name, defect in zip(fruit[:2], ("stem-end rot", "bruising"), strict=True):
        store.connection.execute("DELETE FROM prediction WHERE fruit_id = ? AND defect = ?", (name, defect))
    with pytest.raises(StoreError, match=rf"^run {run_id}: predictions are missing"):
        store.load_predictions(run_id)
    with pytest.raises(StoreError, match=rf"^run {run_id}, fold 0: predictions are missing"):
        store.load_predictions(run_id, fold=0)


def test_confusions_count_what_the_predictions_say(store, dataset, fill, make_fold, query):
    run_id = fill(store)
    pooled = {
        row[0]: row[1:]
        for row in query("SELECT defect, tp, fp, fn, tn FROM defect_confusion WHERE fold IS NULL")
    }
    p = store.load_predictions(run_id)
    for column, defect in enumerate(p.defects):
        truth, called = p.y_true[:, column], p.y_pred[:, column]
        assert pooled[defect] == (
            int(((truth == 1) & (called == 1)).sum()),
            int(((truth == 0) & (called == 1)).sum()),
            int(((truth == 1) & (called == 0)).sum()),
            int(((truth == 0) & (called == 0)).sum()),
        )
    assert sum(pooled["bruising"]) == 9  # one fruit is unlabelled for it
    assert query("SELECT COUNT(*) FROM class_confusion") == [(0,)]


def test_class_confusion_of_a_multiclass_data_set(store, classes, fill, query):
    run_id = fill(store, classes)
    p = store.load_predictions(run_id)
    expected: dict[tuple[str, str], int] = {}
    for truth, called in zip(p.y_true.argmax(1), p.y_pred.argmax(1), strict=True):
        key = (p.defects[truth], p.defects[called])
        expected[key] = expected.get(key, 0) + 1
    rows = query("SELECT true_class, predicted_class, n FROM class_confusion WHERE fold IS NULL")
    assert {row[:2]: row[2] for row in rows} == expected
    per_fold = query("SELECT SUM(n) FROM class_confusion WHERE fold IS NOT NULL")
    assert per_fold == [(10,)]


def test_writing_a_fold_twice_changes_nothing(store, dataset, fill, make_fold, store_path, contents):
    run_id = fill(store)
    before = contents(store_path)
    store.write_fold(run_id, make_fold(dataset, 0))
    store.write_fold(run_id, make_fold(dataset, 1))
    store.finish_run(run_id, [MetricValue("mcc", 0.25, ci_low=0.1, ci_high=0.4)])
    assert contents(store_path) == before


def test_a_fold_written_again_replaces_all_of_the_old_one(store, dataset, fill, make_fold, store_path, query):
    run_id = fill(store)
    old = store.artifact_path(run_id, "fold0/heat.png")
    store.write_fold(run_id, FoldBundle(0, 9.0, metrics=(MetricValue("inner_mcc", math.nan, reason="NaN"),)))
    assert not old.exists()
    for table in ("prediction", "curve", "defect_confusion", "artifact", "attribution", "embedding"):
        assert query(f"SELECT COUNT(*) FROM {table} WHERE fold = 0") == [(0,)], table
    assert store.fold_metrics(run_id, "inner_mcc") == {0: None, 1: pytest.approx(0.6)}
    assert store.finished_folds(run_id) == {0, 1}


def test_values_that_are_not_finite_become_null_with_their_reason(store, started_run, query):
    store.write_fold(
        started_run.run_id,
        FoldBundle(
            0,
            1.0,
            metrics=(MetricValue("auroc", np.float32("inf"), reason="diverged"),),
            curves=(
                CurvePoint(1, "train", "loss", math.nan),
                CurvePoint(2, "train", "loss", np.float32(0.5)),
            ),
        ),
    )
    assert query("SELECT value, reason FROM metric") == [(None, "diverged")]
    values = store.curve(started_run.run_id, 0, "train", "loss")
    assert math.isnan(values[0])
    assert values[1] == 0.5


def test_a_score_that_is_no_number_is_refused_and_leaves_nothing(store, started_run, query):
    score = np.array([[0.5], [np.nan], [np.inf]], np.float32)
    bad = Predictions(
        ("a", "b", "c"), ("bruising",), np.ones((3, 1), np.float32), score, np.ones((3, 1), np.uint8)
    )
    with pytest.raises(StoreError, match="fruit 'b' for 'bruising' is not a number"):
        store.write_fold(started_run.run_id, FoldBundle(0, 1.0, predictions=bad))
    assert store.finished_folds(started_run.run_id) == set()
    assert query("SELECT COUNT(*) FROM prediction") == [(0,)]


def test_the_documented_query_works_in_plain_sqlite(store, fill, store_path):
    run_id = fill(store)
    store.close()
    with sqlite3.connect(store_path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        sums = connection.execute(
            "SELECT defect, SUM(tp), SUM(fp), SUM(fn), SUM(tn) FROM defect_confusion "
            "WHERE run_id = ? AND fold IS NOT NULL GROUP BY defect",
            (run_id,),
        ).fetchall()
        pooled = connection.execute(
            "SELECT defect, tp, fp, fn, tn FROM defect_confusion WHERE run_id = ? AND fold IS NULL "
            "ORDER BY defect",
            (run_id,),
        ).fetchall()
    assert sums == pooled


def test_folds_are_on_the_disk_when_they_are_written_and_the_rest_need_not_be(store, fill):
    seen = []
    store.connection.set_trace_callback(seen.append)
    fill(store)
    levels: dict[str, set[str]] = {}
    level = ""
    for sql in seen:
        if sql.startswith("PRAGMA synchronous"):
            level = sql.rsplit(maxsplit=1)[-1]
        elif sql.startswith("INSERT "):
            table = sql.split(" INTO ")[1].split()[0].strip('"')
            levels.setdefault(table, set()).add(level)
    assert levels["run_fold"] == levels["prediction"] == levels["artifact"] == {"FULL"}
    assert levels["run"] == {"NORMAL"}
