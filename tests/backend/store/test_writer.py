import dataclasses
import json
import math
import sqlite3

import numpy as np
import pytest

from backend.config import AugmentConfig, DataConfig, MethodConfig, ModelConfig, RunConfig, config_hash
from backend.errors import StoreError
from backend.store.bundle import (
    ArtifactData,
    AttributionData,
    CurvePoint,
    EmbeddingData,
    FoldBundle,
    MetricValue,
    Predictions,
)
from backend.store.connection import utc_now
from backend.store.rows import ComparisonRow, StudyRow, compact_json, readable_name, run_identity
from backend.store.writer import RunStore


def query(store: RunStore, sql: str, *values) -> list[tuple]:
    return [tuple(row) for row in store.rows(sql, *values)]


def test_data_set_keeps_order_labels_and_paths(store, dataset):
    store.add_dataset(dataset, ["careful"])
    store.add_dataset(dataset, ["careful", "again"])
    row = dict(store.row("SELECT * FROM dataset"))
    assert (row["n_fruits"], row["n_labelled"], row["synthetic"]) == (10, 10, 1)
    assert json.loads(row["warnings"]) == ["careful", "again"]
    spec = json.loads(row["spec"])
    assert [defect["name"] for defect in spec["defects"]] == ["stem-end rot", "bruising"]
    assert spec["defects"][0] == {
        "name": "stem-end rot",
        "kind": "internal",
        "cost_miss": 1.0,
        "cost_false_alarm": 1.0,
    }
    assert spec["modalities"] == {"rgb": ["1", "2"]}
    fruit = store.rows("SELECT * FROM fruit ORDER BY position")
    assert tuple(row["fruit_id"] for row in fruit) == dataset.fruit_ids
    assert json.loads(fruit[4]["labels"]) == {"stem-end rot": 0, "bruising": None}
    assert json.loads(fruit[0]["images"]) == {"rgb": {"1": "rgb/fruit-7-1.png"}}
    assert json.loads(fruit[9]["pressures"]) == {"tap": 1.0}


def test_study_goes_on_where_it_was_but_not_on_other_folds(store, dataset, start):
    start(store)
    store.update_progress("study-1", {"done": 1, "total": 4, "seconds left": math.inf})
    store.finish_study("study-1", "interrupted", {"failed": []})
    ended = store.study("study-1")
    assert (ended.status, ended.progress["seconds left"], ended.summary) == (
        "interrupted",
        None,
        {"failed": []},
    )
    start(store)
    again = store.study("study-1")
    assert (again.status, again.finished, again.started) == ("running", None, ended.started)
    assert again.folds["fruit-11"] == 1
    other = StudyRow("study-1", "quick", {}, dataset.dataset_id, "mcc", {"fruit-3": 0})
    with pytest.raises(StoreError, match="other data or other folds"):
        store.start_study(other)
    assert store.study("nobody") is None


def test_run_row_says_what_was_run(store, start, make_run):
    start(store)
    run = make_run(augment=AugmentConfig(policy="fruit", without=("blur",)))
    store.start_run(run)
    row = dict(store.row("SELECT * FROM run"))
    assert row["name"] == "baseline · resnet10_half · rgb+pressure"
    assert json.loads(row["augmentations"]) == ["fruit", "without blur"]
    assert json.loads(row["modalities"]) == ["rgb", "pressure"]
    assert json.loads(row["params"])["data"]["folds"] == 2
    assert (row["status"], row["git_commit"], row["seconds"], row["transductive"]) == (
        "running",
        "c0ffee",
        None,
        0,
    )
    assert row["run_id"] == f"{row['config_hash']}-{row['run_id'][-8:]}"


def test_run_identity_depends_on_configuration_study_and_data():
    config = RunConfig()
    assert run_identity(config, "a", "d") == run_identity(config, "a", "d")
    ids = {run_identity(c, s, d) for c in (config, RunConfig(seed=1)) for s in ("a", "b") for d in ("d", "e")}
    assert len(ids) == 8
    assert run_identity(config, "a", "d").startswith(config_hash(config) + "-")


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (
            RunConfig(
                kind="finetune",
                method=MethodConfig("barlow_twins"),
                model=ModelConfig(modalities=("rgb", "nir")),
                data=DataConfig(label_fraction=0.1),
            ),
            "barlow_twins · 10 % labels · rgb+nir",
        ),
        (RunConfig(kind="probe", method=MethodConfig("simclr")), "simclr probe · rgb"),
        (RunConfig(kind="pretrain", method=MethodConfig("simclr")), "simclr pretrain · rgb"),
        (RunConfig(label="without nir"), "baseline · resnet10_half · rgb · without nir"),
    ],
)
def test_names_are_for_people(config, name):
    assert readable_name(config) == name


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


def test_a_run_without_predictions_loads_none(store, start, make_run):
    start(store)
    run = make_run()
    store.start_run(run)
    store.write_fold(run.run_id, FoldBundle(0, 1.0))
    empty = store.load_predictions(run.run_id)
    assert (empty.fruit_ids, empty.score.shape) == ((), (0, 0))


def test_predictions_with_a_hole_are_not_loaded(store, fill):
    run_id = fill(store)
    store.connection.execute("DELETE FROM prediction WHERE fruit_id = 'fruit-3' AND defect = 'bruising'")
    with pytest.raises(StoreError, match="missing for some fruit"):
        store.load_predictions(run_id)


def test_confusions_count_what_the_predictions_say(store, dataset, fill, make_fold):
    run_id = fill(store)
    pooled = {
        row[0]: row[1:]
        for row in query(store, "SELECT defect, tp, fp, fn, tn FROM defect_confusion WHERE fold IS NULL")
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
    assert query(store, "SELECT COUNT(*) FROM class_confusion") == [(0,)]


def test_class_confusion_of_a_multiclass_data_set(store, classes, fill):
    run_id = fill(store, classes)
    p = store.load_predictions(run_id)
    expected: dict[tuple[str, str], int] = {}
    for truth, called in zip(p.y_true.argmax(1), p.y_pred.argmax(1), strict=True):
        key = (p.defects[truth], p.defects[called])
        expected[key] = expected.get(key, 0) + 1
    rows = query(store, "SELECT true_class, predicted_class, n FROM class_confusion WHERE fold IS NULL")
    assert {row[:2]: row[2] for row in rows} == expected
    per_fold = query(store, "SELECT SUM(n) FROM class_confusion WHERE fold IS NOT NULL")
    assert per_fold == [(10,)]


def test_writing_a_fold_twice_changes_nothing(store, dataset, fill, make_fold, store_path, contents):
    run_id = fill(store)
    before = contents(store_path)
    store.write_fold(run_id, make_fold(dataset, 0))
    store.write_fold(run_id, make_fold(dataset, 1))
    store.finish_run(run_id, [MetricValue("mcc", 0.25, ci_low=0.1, ci_high=0.4)])
    assert contents(store_path) == before


def test_a_fold_written_again_replaces_all_of_the_old_one(store, dataset, fill, make_fold, store_path):
    run_id = fill(store)
    old = store.artifact_path(run_id, "fold0/heat.png")
    store.write_fold(run_id, FoldBundle(0, 9.0, metrics=(MetricValue("inner_mcc", math.nan, reason="NaN"),)))
    assert not old.exists()
    for table in ("prediction", "curve", "defect_confusion", "artifact", "attribution", "embedding"):
        assert query(store, f"SELECT COUNT(*) FROM {table} WHERE fold = 0") == [(0,)], table
    assert store.fold_metrics(run_id, "inner_mcc") == {0: None, 1: pytest.approx(0.6)}
    assert store.finished_folds(run_id) == {0, 1}


def test_a_file_that_is_gone_already_does_not_stop_a_fold(store, fill):
    run_id = fill(store)
    store.artifact_path(run_id, "fold0/heat.png").unlink()
    store.write_fold(run_id, FoldBundle(0, 9.0))
    assert query(store, "SELECT fold FROM artifact") == [(1,)]


def test_a_study_starts_now_unless_it_says_when(store, dataset):
    store.add_dataset(dataset, [])
    before = utc_now()
    for name, started in (("copied", "2020-01-02T03:04:05"), ("new", "")):
        store.start_study(StudyRow(name, name, {}, dataset.dataset_id, "mcc", {}, started=started))
    assert store.study("copied").started == "2020-01-02T03:04:05"
    assert before <= store.study("new").started <= utc_now()


def test_finishing_sums_the_folds_and_keeps_intervals(store, fill):
    run_id = fill(store)
    row = store.row("SELECT status, seconds, error FROM run WHERE run_id = ?", run_id)
    assert tuple(row) == ("complete", 4.0, None)
    assert query(store, "SELECT value, ci_low, ci_high FROM metric WHERE fold IS NULL") == [(0.25, 0.1, 0.4)]
    assert store.curve(run_id, 1, "train", "loss") == [1, 0.5, pytest.approx(1 / 3)]


def test_values_that_are_not_finite_become_null_with_their_reason(store, start, make_run):
    start(store)
    run = make_run()
    store.start_run(run)
    store.write_fold(
        run.run_id,
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
    assert query(store, "SELECT value, reason FROM metric") == [(None, "diverged")]
    values = store.curve(run.run_id, 0, "train", "loss")
    assert math.isnan(values[0])
    assert values[1] == 0.5


def test_a_score_that_is_no_number_is_refused_and_leaves_nothing(store, start, make_run):
    start(store)
    run = make_run()
    store.start_run(run)
    score = np.array([[0.5], [np.nan]], np.float32)
    bad = Predictions(
        ("a", "b"), ("bruising",), np.ones((2, 1), np.float32), score, np.ones((2, 1), np.uint8)
    )
    with pytest.raises(StoreError, match="fruit 'b' for 'bruising' is not a number"):
        store.write_fold(run.run_id, FoldBundle(0, 1.0, predictions=bad))
    assert store.finished_folds(run.run_id) == set()
    assert query(store, "SELECT COUNT(*) FROM prediction") == [(0,)]


def test_unknown_runs_are_named(store, start):
    start(store)
    for call in (
        lambda: store.write_fold("nope", FoldBundle(0, 1.0)),
        lambda: store.finish_run("nope", []),
        lambda: store.end_run("nope", "failed", "x"),
        lambda: store.load_predictions("nope"),
        lambda: store.add_artifact("nope", ArtifactData("a", "b", b"")),
        lambda: store.add_embeddings("nope", []),
        lambda: store.add_attributions("nope", []),
    ):
        with pytest.raises(StoreError, match="unknown run 'nope'"):
            call()


def test_interrupted_runs_are_recovered_with_their_folds(
    store, start, make_run, make_fold, dataset, store_path
):
    start(store)
    first, second, done = make_run(0), make_run(1), make_run(2)
    for run in (first, second, done):
        store.start_run(run)
    store.write_fold(first.run_id, make_fold(dataset, 1))
    store.finish_run(done.run_id, [])
    store.close()
    with RunStore(store_path) as resumed:
        assert resumed.recover("study-1") == {first.run_id: {1}, second.run_id: set()}
        assert resumed.recover("another study") == {}
        assert resumed.run_status(first.run_id) == "interrupted"
        assert resumed.row("SELECT error FROM run WHERE run_id = ?", first.run_id)[0]
        resumed.start_run(first)
        resumed.start_run(done)
        assert resumed.run_status(first.run_id) == "running"
        assert resumed.run_status(done.run_id) == "complete"
        assert resumed.finished_folds(first.run_id) == {1}


def test_failed_runs_keep_folds_and_reason(store, start, make_run, make_fold, dataset):
    start(store)
    run = make_run()
    store.start_run(run)
    store.write_fold(run.run_id, make_fold(dataset, 0))
    store.end_run(run.run_id, "failed", "loss became NaN in epoch 3")
    row = store.row("SELECT status, error, seconds, finished FROM run")
    assert tuple(row)[:3] == ("failed", "loss became NaN in epoch 3", 1.5)
    assert row["finished"]
    assert store.finished_folds(run.run_id) == {0}
    with pytest.raises(AssertionError):
        store.end_run(run.run_id, "complete", "")


def test_the_curves_up_to_a_failure_are_kept_and_the_fold_stays_open(
    store, start, make_run, make_fold, dataset
):
    start(store)
    run = make_run()
    store.start_run(run)
    curves = (CurvePoint(1, "train", "loss", 2.0), CurvePoint(2, "train", "loss", 9.0))
    store.end_run(run.run_id, "failed", "collapsed in epoch 2", {0: curves})
    assert store.curve(run.run_id, 0, "train", "loss") == [2, 9]
    assert store.finished_folds(run.run_id) == set()
    store.write_fold(run.run_id, make_fold(dataset, 0))
    assert store.curve(run.run_id, 0, "train", "loss") != [2, 9], "a second attempt replaces them"


def test_heartbeat_reaches_runs_and_study(store, start, make_run):
    start(store)
    run = make_run()
    store.start_run(run)
    store.connection.execute("UPDATE run SET heartbeat = NULL")
    store.connection.execute("UPDATE study SET heartbeat = NULL")
    store.heartbeat([run.run_id], "study-1")
    assert store.row("SELECT heartbeat FROM run")[0]
    assert store.study("study-1").heartbeat


def test_summary_says_what_ran_what_failed_and_what_is_best(store, fill, make_run):
    run_id = fill(store)
    failed = make_run(5)
    store.start_run(failed)
    store.end_run(failed.run_id, "failed", "out of memory")
    cheat = make_run(6, kind="finetune", method=MethodConfig("simclr"))
    store.start_run(dataclasses.replace(cheat, transductive=True))
    store.finish_run(cheat.run_id, [MetricValue("mcc", 0.9)])
    assert store.summarise_study("study-1") == {
        "runs": {"complete": 2, "failed": 1},
        "failed": [{"run_id": failed.run_id, "name": failed.name, "error": "out of memory"}],
        "best": {
            "run_id": run_id,
            "name": "baseline · resnet10_half · rgb+pressure",
            "mcc": 0.25,
            "ci_low": 0.1,
            "ci_high": 0.4,
        },
    }
    assert store.summarise_study("none") == {"runs": {}, "failed": [], "best": None}


def test_comparisons_replace_the_same_question(store, fill):
    a, b = fill(store, seed=0), fill(store, seed=1)
    row = ComparisonRow(a, b, "mcc", "McNemar", delta=0.1, p_value=math.nan, n=10, verdict="better")
    store.add_comparisons([row, ComparisonRow(a, b, "mcc", "McNemar", defect="bruising", delta=0.3)])
    store.add_comparisons([ComparisonRow(a, b, "mcc", "McNemar", delta=0.2, p_value=0.04, n=10)])
    rows = query(store, "SELECT defect, delta, p_value FROM comparison ORDER BY defect")
    assert rows == [(None, 0.2, 0.04), ("bruising", 0.3, None)]
    with pytest.raises(StoreError, match="FOREIGN KEY"):
        store.add_comparisons([ComparisonRow(a, "nobody", "mcc", "McNemar")])


def test_artifacts_explanations_and_projections_after_the_run(store, fill, store_path):
    run_id = fill(store)
    path = store.add_artifact(run_id, ArtifactData("card.md", "model card", b"# card"))
    assert path.read_bytes() == b"# card"
    assert path == store.artifact_path(run_id, "card.md")
    assert path.is_relative_to(store_path.parent / "artifacts" / "store" / run_id)
    store.add_artifact(run_id, ArtifactData("card.md", "model card", b"# new"))
    assert path.read_bytes() == b"# new"
    store.add_attributions(
        run_id,
        [AttributionData("fruit-1", "bruising", "rgb", "2", "maps/fruit-1.png")],
        [ArtifactData("maps/fruit-1.png", "heat map", b"png")],
    )
    stored = store.value("SELECT path FROM attribution WHERE fruit_id = 'fruit-1'")
    assert stored == f"artifacts/store/{run_id}/maps/fruit-1.png"
    assert (store_path.parent / stored).read_bytes() == b"png"
    points = EmbeddingData("tsne", ("fruit-1", "fruit-2"), np.array([[0, 1], [2, 3]], np.float32))
    store.add_embeddings(run_id, [points])
    store.add_embeddings(run_id, [points])
    assert query(store, "SELECT fruit_id, x, y FROM embedding WHERE projection = 'tsne'") == [
        ("fruit-1", 0.0, 1.0),
        ("fruit-2", 2.0, 3.0),
    ]
    with pytest.raises(StoreError, match="no artifact 'lost'"):
        store.artifact_path(run_id, "lost")
    with pytest.raises(StoreError, match="no artifact 'lost'"):
        store.add_attributions(run_id, [AttributionData("fruit-1", "bruising", "rgb", "2", "lost")])


def test_folds_cannot_overwrite_each_others_files(store, fill):
    run_id = fill(store)
    with pytest.raises(StoreError, match="belongs to another fold"):
        store.write_fold(run_id, FoldBundle(1, 1.0, artifacts=(ArtifactData("fold0/heat.png", "x", b"x"),)))


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/etc/passwd",
        "a/../../evil",
        "",
        ".",
        "a//b",
        "a\\..\\b",
        "C:evil",
        "a\x00b",
        "a/",
        "x" * 300,
    ],
)
def test_artifact_names_cannot_leave_their_folder(store, fill, tmp_path, name):
    run_id = fill(store)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StoreError):
        store.write_fold(run_id, FoldBundle(0, 1.0, artifacts=(ArtifactData(name, "x", b"x"),)))
    assert sorted(tmp_path.rglob("*")) == before
    assert query(store, "SELECT COUNT(*) FROM prediction WHERE fold = 0") != [(0,)]


def test_a_link_in_the_artifact_folder_is_not_followed(store, fill, tmp_path, store_path):
    run_id = fill(store)
    outside = tmp_path / "outside"
    outside.mkdir()
    (store_path.parent / "artifacts" / "store" / run_id / "trap").symlink_to(outside)
    with pytest.raises(StoreError, match="outside"):
        store.add_artifact(run_id, ArtifactData("trap/file", "x", b"x"))
    assert list(outside.iterdir()) == []


def test_json_is_valid_for_every_reader():
    value = {"a": np.float32("nan"), "b": (np.int64(3), {1.5}), "c": np.arange(2), 4: math.inf, "d": None}
    assert json.loads(compact_json(value)) == {"a": None, "b": [3, [1.5]], "c": [0, 1], "4": None, "d": None}


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
