"""Queries of scores, decisions and comparisons, against values counted by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend.data.dataset import MULTICLASS
from backend.store.bundle import FoldBundle, Predictions
from backend.store.queries import results
from backend.store.rows import StudyRow
from backend.store.writer import RunStore


@pytest.mark.parametrize(
    ("number", "rot", "scar"),
    [(None, (2, 1, 1, 1), (2, 0, 0, 2)), (0, (1, 1, 1, 0), (2, 0, 0, 1)), (1, (1, 0, 0, 1), (0, 0, 0, 1))],
)
def test_confusions_are_cumulative_or_of_one_fold(connection, number, rot, scar) -> None:
    found = results.defect_confusion(connection, "base", number).set_index("defect")
    assert tuple(found.loc["rot", ["tp", "fp", "fn", "tn"]]) == rot
    assert tuple(found.loc["scar", ["tp", "fp", "fn", "tn"]]) == scar


def test_pooled_metrics_leave_the_folds_out(connection) -> None:
    found = results.pooled_metrics(connection, ["base", "fine"], ["mcc", "recall"])
    overall = found[found["defect"].isna()].set_index("run_id")["value"]
    assert dict(overall) == {"base": 0.5, "fine": 0.6}
    assert set(found["defect"].dropna()) == {"rot"}


def test_run_metrics_hold_folds_and_pooled(connection) -> None:
    found = results.run_metrics(connection, "base")
    assert sorted(found["fold"].dropna()) == [0, 1]
    assert found["fold"].isna().sum() == 2


def test_scored_runs_are_complete_finals_with_predictions(connection) -> None:
    found = results.scored_runs(connection, "d1", "", ("final",))
    assert list(found["run_id"]) == ["base", "base2", "fine"]
    assert list(found["twin"]) == [0, 1, 0]
    assert results.scored_runs(connection, "d1", "other study").empty


def test_comparisons_turn_round(connection) -> None:
    ahead = results.comparisons(connection, "base", "fine").iloc[0]
    back = results.comparisons(connection, "fine", "base").iloc[0]
    assert (ahead["delta"], ahead["ci_low"], ahead["ci_high"], ahead["verdict"]) == (
        0.1,
        0.02,
        0.18,
        "better",
    )
    assert (back["delta"], back["ci_low"], back["ci_high"], back["verdict"]) == (-0.1, -0.18, -0.02, "worse")


@pytest.mark.parametrize("change", ["dataset", "folds", "fruit", "transductive", "unknown", None])
def test_runs_are_compared_only_where_they_may(
    tmp_path: Path, data_set, row, folds, complete, change: str | None
) -> None:
    with RunStore(tmp_path / "s.db") as store:
        store.add_dataset(data_set(), [])
        store.start_study(StudyRow("s1", "first", {}, "d1", "mcc", folds))
        complete(store, row("a"), 0.5)
        if change == "dataset":
            store.add_dataset(data_set("d2"), [])
            store.start_study(StudyRow("s2", "second", {}, "d2", "mcc", folds))
            complete(store, row("b", "s2", "d2"), 0.5)
        elif change == "folds":
            store.start_study(StudyRow("s2", "second", {}, "d1", "mcc", {**folds, "a": 1}))
            complete(store, row("b", "s2"), 0.5)
        elif change == "fruit":
            complete(store, row("b"), 0.5, parts=(0,))
        elif change != "unknown":
            complete(store, row("b", transductive=change == "transductive"), 0.5)
        reasons = results.comparability(store.connection, "a", "b")
    assert reasons == {None: [], "dataset": ["dataset", "labels"]}.get(change, [change])
    assert change != "dataset" or "dataset" in reasons


def test_class_confusion_sums_the_folds(tmp_path: Path, data_set, row, folds) -> None:
    labels = np.array([[1, 0], [0, 1], [1, 0], [0, 1], [1, 0], [np.nan, np.nan]], dtype=np.float32)
    dataset = data_set(task=MULTICLASS, healthy="scar", labels=labels)
    with RunStore(tmp_path / "s.db") as store:
        store.add_dataset(dataset, [])
        store.start_study(StudyRow("s1", "first", {}, "d1", "mcc", folds))
        store.start_run(row("a"))
        for number in (0, 1):
            ids = tuple(name for name, part in folds.items() if part == number)
            truth = labels[[dataset.fruit_ids.index(name) for name in ids]]
            said = np.tile(np.array([1, 0], dtype=np.uint8), (len(ids), 1))
            predictions = Predictions(ids, ("rot", "scar"), truth, said.astype(np.float32), said)
            store.write_fold("a", FoldBundle(number, 1.0, predictions))
        store.finish_run("a", [])
        pooled = results.class_confusion(store.connection, "a").set_index(["true_class", "predicted_class"])
        first = results.class_confusion(store.connection, "a", 0).set_index(["true_class", "predicted_class"])
    assert dict(pooled["n"]) == {("rot", "rot"): 3, ("scar", "rot"): 2}
    assert dict(first["n"]) == {("rot", "rot"): 2, ("scar", "rot"): 1}
