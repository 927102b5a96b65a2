"""Queries of ablations and of what changed, against values counted by hand on a store of six fruit."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable

import numpy as np
import pytest

from backend.data.dataset import MULTICLASS, MULTILABEL
from backend.store.bundle import ArtifactData, CurvePoint, FoldBundle, MetricValue, Predictions
from backend.store.connection import open_readonly
from backend.store.queries import ablations, changes
from backend.store.rows import ComparisonRow, RunRow, StudyRow
from backend.store.writer import RunStore

IDS = ("a", "b", "c", "d", "e", "f")
NAN = float("nan")
LABELS = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [1, NAN], [0, 0]], dtype=np.float32)
BEFORE = np.array([[1, 0], [0, 1], [1, 1], [0, 0], [0, 1], [0, 0]], dtype=np.uint8)
AFTER = np.array([[0, 0], [1, 0], [0, 1], [0, 1], [1, 0], [1, 0]], dtype=np.uint8)


def fold(number: int, decided: np.ndarray, **more: object) -> FoldBundle:
    rows = [i for i in range(6) if i % 2 == number]
    ids = tuple(IDS[i] for i in rows)
    score = np.where(decided[rows] == 1, 0.9, 0.2).astype(np.float32)
    return FoldBundle(
        number, 1.0, Predictions(ids, ("rot", "scar"), LABELS[rows], score, decided[rows]), **more
    )


def write(store: RunStore, run: RunRow, decided: np.ndarray, extra: tuple[MetricValue, ...] = ()) -> None:
    store.start_run(run)
    for number in range(2):
        by_fold = (MetricValue("knn_mcc", 0.2 + 0.2 * number),)
        store.write_fold(run.run_id, fold(number, decided, metrics=by_fold))
    store.finish_run(run.run_id, extra)


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory, data_set, row):
    path = tmp_path_factory.mktemp("ablations") / "store.db"

    def run(run_id: str, dataset: str = "multi", **changes: object) -> RunRow:
        values = {"params": {"augment": {"policy": "fruit"}}} | changes
        return row(run_id, f"study-{dataset}", dataset, **values)

    with RunStore(path) as store:
        for name, task in (("multi", MULTILABEL), ("single", MULTICLASS)):
            store.add_dataset(data_set(name, task=task, labels=LABELS), [])
            folds = {fruit: i % 2 for i, fruit in enumerate(IDS)}
            store.start_study(StudyRow(f"study-{name}", name, {}, name, "mcc", folds))
        write(
            store,
            run("before"),
            BEFORE,
            (MetricValue("mcc", 0.5, None, 0.4, 0.6), MetricValue("mcc", 0.1, "rot")),
        )
        write(store, run("after"), AFTER)
        write(store, run("sole-before", "single"), BEFORE)
        write(store, run("sole-after", "single"), AFTER)
        _pretraining(store, run)
        store.add_comparisons(
            [
                ComparisonRow(
                    "before", "after", "mcc", "bootstrap", family="input-ablation: without nir", n_needed=90
                ),
                ComparisonRow("before", "after", "recall", "bootstrap", family="after against before"),
            ]
        )
        store.start_run(run("running", purpose="input-ablation"))
    opened = open_readonly(path)
    yield opened
    opened.close()


def _pretraining(store: RunStore, run: Callable[..., RunRow]) -> None:
    parent = run("parent", kind="pretrain", method="simclr", params={"augment": {"policy": "none"}})
    store.start_run(parent)
    for number in range(2):
        points = tuple(CurvePoint(epoch, "health", "embedding_std", 0.5 + number * 0.2) for epoch in (1, 2))
        points += (CurvePoint(1, "train", "loss", 1.0),)
        store.write_fold("parent", FoldBundle(number, 1.0, curves=points))
    store.finish_run("parent", ())
    store.add_artifact("parent", ArtifactData("augmentations.png", "contact_sheet", b"picture"))
    store.start_run(run("collapsed", kind="pretrain", method="byol"))
    store.end_run("collapsed", "failed", "collapsed in epoch 2")
    write(store, run("child", kind="probe", method="simclr", parent_run_id="parent"), AFTER)


def test_complete_runs_know_the_augmentation_of_their_weights(connection: sqlite3.Connection) -> None:
    found = ablations.finished(connection, "multi").set_index("run_id")
    assert set(found.index) == {"before", "after", "parent", "child"}
    assert json.loads(found.loc["child", "augment"]) == {"policy": "none"}
    assert json.loads(found.loc["before", "augment"]) == {"policy": "fruit"}
    assert ablations.finished(connection, "multi", "study-single").empty
    assert ablations.finished(connection, "multi", "", ("input-ablation",)).empty, "it is still running"


def test_metrics_of_folds_stand_in_for_pooled_ones(connection: sqlite3.Connection) -> None:
    found = ablations.whole_metrics(connection, ("before",), ("mcc", "knn_mcc"))
    found = found.fillna({"defect": ""}).set_index(["metric", "defect"])
    assert found.loc[("mcc", ""), ["value", "ci_low"]].tolist() == [0.5, 0.4]
    assert found.loc[("mcc", "rot"), "value"] == 0.1
    assert found.loc[("knn_mcc", ""), "value"] == pytest.approx(0.3)


def test_tests_are_found_by_their_question(connection: sqlite3.Connection) -> None:
    found = ablations.tests_of(connection, "multi", "", "input-ablation")
    assert found["metric"].tolist() == ["mcc"] and found["n_needed"].tolist() == [90]
    assert len(ablations.tests_of(connection, "multi")) == 2
    assert ablations.tests_of(connection, "single").empty


def test_costs_of_groups_sum_to_the_price_of_the_errors(connection: sqlite3.Connection) -> None:
    prices = json.dumps({"rot": [2.0, 0.5], "scar": [1.0, 0.25]})
    found = ablations.costs_by_group(connection, ("before", "after"), prices)
    before = found[found["run_id"] == "before"]
    # rot: b and e missed, c a false alarm, of 6; scar: d missed, b a false alarm, of 5 that are labelled.
    assert before["cost"].sum() == pytest.approx(1000 * (2 * 2.0 + 0.5) / 6 + 1000 * (1.0 + 0.25) / 5)
    rot = ablations.costs_by_group(connection, ("before",), json.dumps({"rot": [2.0, 0.5]}))
    by_group = dict(zip(rot["fruit_group"], rot["cost"], strict=True))
    assert by_group == pytest.approx({"p1": 1000 * 2.0 / 6, "p2": 1000 * 0.5 / 6, "p3": 1000 * 2.0 / 6})


def test_health_is_a_mean_over_folds(connection: sqlite3.Connection) -> None:
    found = ablations.health(connection, ("parent", "collapsed"))
    assert found["epoch"].tolist() == [1, 2] and found["value"].tolist() == pytest.approx([0.6, 0.6])
    runs = ablations.pretrainings(connection, "multi")
    assert (
        runs["status"].tolist() == ["complete", "failed"] and runs["error"].iloc[1] == "collapsed in epoch 2"
    )


def test_the_kept_file_is_found_by_its_kind(connection: sqlite3.Connection) -> None:
    found = ablations.kept_file(connection, "multi", "", "final", "contact_sheet")
    assert (
        found is not None
        and found["run_id"] == "parent"
        and found["path"].endswith("parent/augmentations.png")
    )
    assert ablations.kept_file(connection, "multi", "", "tune", "contact_sheet") is None


def test_changes_are_counted_by_defect_and_group(connection: sqlite3.Connection) -> None:
    found = changes.tallies(connection, "before", "after", False)
    sums = found.groupby("defect")[["n", "found", "cleared", "lost", "alarmed"]].sum()
    assert sums.loc["rot"].tolist() == [6, 2, 1, 1, 1], "b and e found, c cleared, a lost, f alarmed"
    assert sums.loc["scar"].tolist() == [5, 1, 1, 0, 0], "d found, b cleared; e has no label"
    first = found[(found["defect"] == "rot") & (found["fruit_group"] == "p1")].iloc[0]
    assert (first["found"], first["lost"]) == (1, 1)


def test_the_fruit_that_moved_are_named(connection: sqlite3.Connection) -> None:
    found = changes.moved(connection, "before", "after", False)
    rot = found[found["defect"] == "rot"]
    assert dict(zip(rot["fruit_id"], rot["fixed"], strict=True)) == {"a": 0, "b": 1, "c": 1, "e": 1, "f": 0}
    assert set(found.loc[found["defect"] == "scar", "fruit_id"]) == {"b", "d"}


def test_a_fruit_of_one_class_moves_once(connection: sqlite3.Connection) -> None:
    sums = changes.tallies(connection, "sole-before", "sole-after", True)[
        ["n", "found", "cleared", "lost", "alarmed"]
    ]
    assert sums.sum().tolist() == [5, 3, 0, 1, 0], "only the rows of true classes"
    assert set(changes.moved(connection, "sole-before", "sole-after", True)["fruit_id"]) == {
        "a",
        "b",
        "d",
        "e",
    }
