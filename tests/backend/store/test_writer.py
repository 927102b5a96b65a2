"""The verbs of a driver: data sets, studies and runs, from start to end."""

import dataclasses
import json
import math

import pytest

from backend.config import AugmentConfig, MethodConfig
from backend.errors import StoreError
from backend.store.bundle import ArtifactData, CurvePoint, FoldBundle, MetricValue
from backend.store.connection import utc_now
from backend.store.rows import ComparisonRow, StudyRow
from backend.store.writer import RunStore


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


def test_what_is_not_finite_is_null_in_the_json_of_studies_and_runs(store, dataset, make_run):
    store.add_dataset(dataset, [])
    plan = {"budget": math.inf, "steps": [math.nan, 2]}
    store.start_study(StudyRow("study-1", "quick", plan, dataset.dataset_id, "mcc", {}))
    store.start_run(dataclasses.replace(make_run(), environment={"load": math.nan}))
    assert store.study("study-1").plan == {"budget": None, "steps": [None, 2]}
    assert json.loads(store.value("SELECT environment FROM run")) == {"load": None}


def test_the_end_of_a_study_is_on_the_disk(store, start):
    start(store)
    seen = []
    store.connection.set_trace_callback(seen.append)
    store.finish_study("study-1", "complete", {})
    ends = [k for k, sql in enumerate(seen) if sql.startswith("UPDATE study")]
    levels = [k for k, sql in enumerate(seen) if sql.startswith("PRAGMA synchronous")]
    assert seen[max(k for k in levels if k < ends[0])].endswith("FULL")


def test_a_study_starts_now_unless_it_says_when(store, dataset):
    store.add_dataset(dataset, [])
    before = utc_now()
    for name, started in (("copied", "2020-01-02T03:04:05"), ("new", "")):
        store.start_study(StudyRow(name, name, {}, dataset.dataset_id, "mcc", {}, started=started))
    assert store.study("copied").started == "2020-01-02T03:04:05"
    assert before <= store.study("new").started <= utc_now()


def test_finishing_sums_the_folds_and_keeps_intervals(store, fill, query):
    run_id = fill(store)
    row = store.row("SELECT status, seconds, error FROM run WHERE run_id = ?", run_id)
    assert tuple(row) == ("complete", 4.0, None)
    assert query("SELECT value, ci_low, ci_high FROM metric WHERE fold IS NULL") == [(0.25, 0.1, 0.4)]
    assert store.curve(run_id, 1, "train", "loss") == [1, 0.5, pytest.approx(1 / 3)]


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
        resumed.recover()
        assert resumed.finished_folds(first.run_id) == {1}
        assert resumed.finished_folds(second.run_id) == set()
        assert resumed.study("study-1").status == "interrupted"
        assert resumed.run_status(first.run_id) == "interrupted"
        assert resumed.row("SELECT error FROM run WHERE run_id = ?", first.run_id)[0]
        resumed.start_run(first)
        resumed.start_run(done)
        assert resumed.run_status(first.run_id) == "running"
        assert resumed.run_status(done.run_id) == "complete"
        assert resumed.finished_folds(first.run_id) == {1}


def test_failed_runs_keep_folds_and_reason(store, started_run, make_fold, dataset):
    store.write_fold(started_run.run_id, make_fold(dataset, 0))
    store.end_run(started_run.run_id, "failed", "loss became NaN in epoch 3")
    row = store.row("SELECT status, error, seconds, finished FROM run")
    assert tuple(row)[:3] == ("failed", "loss became NaN in epoch 3", 1.5)
    assert row["finished"]
    assert store.finished_folds(started_run.run_id) == {0}
    with pytest.raises(AssertionError):
        store.end_run(started_run.run_id, "complete", "")


def test_the_curves_up_to_a_failure_are_kept_and_the_fold_stays_open(store, started_run, make_fold, dataset):
    curves = (CurvePoint(1, "train", "loss", 2.0), CurvePoint(2, "train", "loss", 9.0))
    store.end_run(started_run.run_id, "failed", "collapsed in epoch 2", {0: curves})
    assert store.curve(started_run.run_id, 0, "train", "loss") == [2, 9]
    assert store.finished_folds(started_run.run_id) == set()
    store.write_fold(started_run.run_id, make_fold(dataset, 0))
    assert store.curve(started_run.run_id, 0, "train", "loss") != [2, 9], "a second attempt replaces them"


def test_heartbeat_reaches_runs_and_study(store, started_run):
    store.connection.execute("UPDATE run SET heartbeat = NULL")
    store.connection.execute("UPDATE study SET heartbeat = NULL")
    store.heartbeat([started_run.run_id], "study-1")
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


def test_the_best_run_is_the_one_that_validation_prefers_not_the_luckiest_test(store, fill, make_run):
    fill(store)
    for number, tested, validated in ((7, 0.9, None), (8, 0.5, 0.7), (9, 0.7, 0.6)):
        run = make_run(number)
        store.start_run(run)
        store.finish_run(
            run.run_id, [MetricValue("mcc", tested), MetricValue("inner_mcc", validated, reason="unasked")]
        )
    assert store.summarise_study("study-1")["best"]["mcc"] == 0.5


def test_comparisons_replace_the_same_question(store, fill, query):
    a, b = fill(store, seed=0), fill(store, seed=1)
    row = ComparisonRow(a, b, "mcc", "McNemar", delta=0.1, p_value=math.nan, n=10, verdict="better")
    store.add_comparisons([row, ComparisonRow(a, b, "mcc", "McNemar", defect="bruising", delta=0.3)])
    store.add_comparisons([ComparisonRow(a, b, "mcc", "McNemar", delta=0.2, p_value=0.04, n=10)])
    rows = query("SELECT defect, delta, p_value FROM comparison ORDER BY defect")
    assert rows == [(None, 0.2, 0.04), ("bruising", 0.3, None)]
    with pytest.raises(StoreError, match="FOREIGN KEY"):
        store.add_comparisons([ComparisonRow(a, "nobody", "mcc", "McNemar")])
