"""Every query against values counted by hand on a store of six fruit."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from backend.data.dataset import MULTICLASS, MULTILABEL, Defect, FruitDataset
from backend.store.bundle import CurvePoint, FoldBundle, MetricValue, Predictions
from backend.store.connection import StoreMissing, open_readonly
from backend.store.queries import StoreWatch, catalog, fruit, results, runs
from backend.store.queries.runs import RunFilter
from backend.store.rows import ComparisonRow, RunRow, StudyRow
from backend.store.writer import RunStore

IDS = ("a", "b", "c", "d", "e", "f")
FOLDS = {"a": 0, "b": 0, "c": 0, "d": 1, "e": 1}
NAN = float("nan")
LABELS = np.array([[1, 0], [0, 1], [1, 1], [0, 0], [1, NAN], [NAN, NAN]], dtype=np.float32)
DECIDED = {"a": (1, 0), "b": (1, 1), "c": (0, 1), "d": (0, 0), "e": (1, 1)}
FUTURE = "2999-01-01T00:00:00.000000+00:00"


def data_set(dataset_id: str = "d1", name: str = "six", task: str = MULTILABEL, labels: np.ndarray = LABELS):
    return FruitDataset(
        root=Path("/nowhere"),
        name=name,
        task=task,
        healthy="scar" if task == MULTICLASS else "fine",
        synthetic=True,
        description="",
        licence="",
        source="",
        defects=(Defect("rot", "internal", 2.0, 0.5), Defect("scar", "external", 1.0, 0.25)),
        fruit_ids=IDS,
        groups=("p1", "p1", "p2", "p2", "p3", "p3"),
        fixed_split=None,
        labels=labels,
        pressure_names=("tap",),
        pressures=np.array([[1], [2], [3], [4], [5], [NAN]], dtype=np.float32),
        modalities={"rgb": ("1",)},
        paths={("rgb", "1"): ("a.png", "b.png", "", "d.png", "e.png", "f.png")},
        dataset_id=dataset_id,
        label_version=f"labels-{dataset_id}",
    )


def row(run_id: str, study: str = "s1", dataset: str = "d1", **changes) -> RunRow:
    values = {
        "run_id": run_id,
        "study_id": study,
        "parent_run_id": None,
        "dataset_id": dataset,
        "name": f"name of {run_id}",
        "kind": "baseline",
        "purpose": "final",
        "method": "supervised",
        "backbone": "tiny",
        "init": "random",
        "modalities": ("rgb",),
        "augmentations": (),
        "label_fraction": 1.0,
        "seed": 0,
        "params": {"optim": {"epochs": 2}},
        "config_hash": run_id,
        "n_folds": 2,
        "transductive": False,
        "git_commit": "abc",
        "environment": {"python": "3"},
    }
    return RunRow(**(values | changes))


def fold(number: int, score: float = 0.7) -> FoldBundle:
    ids = tuple(name for name, part in FOLDS.items() if part == number)
    rows = [IDS.index(name) for name in ids]
    decided = np.array([DECIDED[name] for name in ids], dtype=np.uint8)
    return FoldBundle(
        fold=number,
        seconds=10.0 + number,
        predictions=Predictions(
            ids, ("rot", "scar"), LABELS[rows], np.full((len(ids), 2), score, np.float32), decided
        ),
        metrics=(MetricValue("mcc", 0.1 * number),),
        curves=(CurvePoint(1, "train", "loss", 0.5), CurvePoint(2, "train", "loss", 0.4)),
        notes=(("best_epoch", "2"),),
    )


def complete(store: RunStore, run: RunRow, mcc: float) -> None:
    store.start_run(run)
    for number in (0, 1):
        store.write_fold(run.run_id, fold(number))
    store.finish_run(
        run.run_id, [MetricValue("mcc", mcc, None, mcc - 0.1, mcc + 0.1), MetricValue("mcc", 0.3, "rot")]
    )


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("queries") / "store.db"
    with RunStore(path) as store:
        store.add_dataset(data_set(), ["one warning"])
        store.start_study(StudyRow("s1", "first", {"plan": 1}, "d1", "mcc", FOLDS))
        store.start_run(row("pre", kind="pretrain", method="simclr"))
        store.finish_run("pre", [])
        complete(store, row("base"), 0.5)
        complete(store, row("base2", name="name of base"), 0.55)
        complete(store, row("fine", kind="finetune", method="simclr", init="ssl", parent_run_id="pre"), 0.6)
        for run_id in ("bad1", "bad2"):
            store.start_run(row(run_id, purpose="tune", modalities=("rgb", "nir")))
            store.end_run(run_id, "failed", "out of 100% memory")
        store.start_run(row("slow"))
        store.add_comparisons(
            [ComparisonRow("base", "fine", "mcc", "t", None, 0.1, 0.02, 0.18, 0.01, 0.02, "q", 5, "better")]
        )
        store.update_progress("s1", {"stage": "final", "done": 3, "total": 9, "seconds_left": 60})
        store.add_dataset(data_set("d2", "empty"), [])
        with store.transaction() as connection:
            connection.execute("UPDATE run SET heartbeat = '2020-01-01' WHERE run_id = 'slow'")
    return path


@pytest.fixture
def connection(path: Path):
    connection = open_readonly(path)
    yield connection
    connection.close()


def test_data_sets_come_with_the_one_studied_last_first(connection) -> None:
    found = catalog.datasets(connection)
    assert list(found["dataset_id"]) == ["d1", "d2"]
    assert list(found["n_studies"]) == [1, 0]


def test_a_data_set_is_what_was_stored(connection) -> None:
    found = catalog.dataset(connection, "d1")
    assert (found.name, found.task, found.synthetic, found.n_fruits, found.n_labelled) == (
        "six", MULTILABEL, True, 6, 5
    )  # fmt: skip
    assert found.defects[0] == catalog.DefectFacts("rot", "internal", 2.0, 0.5)
    assert found.modalities == {"rgb": ("1",)} and found.pressures == ("tap",)
    assert found.warnings == ("one warning",)
    assert catalog.dataset(connection, "nothing") is None


def test_labels_are_counted_without_the_missing_ones(connection) -> None:
    found = catalog.defect_counts(connection, "d1").set_index("defect")
    assert tuple(found.loc["rot"]) == (3, 5)
    assert tuple(found.loc["scar"]) == (2, 4)
    assert catalog.group_count(connection, "d1") == 3


def test_studies_count_their_runs_and_their_finished_finals(connection) -> None:
    found = catalog.studies(connection, "d1")
    assert tuple(found.loc[0, ["study_id", "n_runs", "n_final"]]) == ("s1", 7, 4)
    assert catalog.studies(connection, "d2").empty
    assert catalog.finished_runs(connection) == 4
    assert catalog.study(connection, "s1")["plan"] == {"plan": 1}
    assert catalog.study(connection, "nothing") is None


def test_running_studies_say_how_to_go_on(tmp_path: Path) -> None:
    with RunStore(tmp_path / "s.db") as store:
        store.add_dataset(data_set(), [])
        store.start_study(StudyRow("a", "first", {"plan": {"name": "quick"}}, "d1", "mcc", FOLDS))
        store.start_study(StudyRow("b", "second", {"plan": 3}, "d1", "mcc", FOLDS))
        with store.transaction() as connection:
            connection.execute("UPDATE study SET plan = 'nonsense' WHERE study_id = 'b'")
        found = catalog.running_studies(store.connection).set_index("study_id")
    assert found.loc["a", "plan"] == "quick" and not isinstance(found.loc["b", "plan"], str)
    assert set(found["root"]) == {"/nowhere"} and set(found["dataset"]) == {"six"}


def test_progress_is_read_whatever_was_written(connection) -> None:
    text = catalog.running_studies(connection).loc[0, "progress"]
    assert catalog.progress_of(text) == catalog.Progress("final", 3, 9, 60.0)
    for broken in ("", "[]", "{nonsense", '{"done": "many"}'):
        assert catalog.progress_of(broken) == catalog.Progress("", 0, 0, None)


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


def test_states_tell_the_stalled_from_the_running(connection) -> None:
    assert runs.state_counts(connection, RunFilter(stale_before="2019-01-01")) == {
        "complete": 4, "failed": 2, "running": 1
    }  # fmt: skip
    counts = runs.state_counts(connection, RunFilter(stale_before=FUTURE, statuses=("stalled",)))
    assert counts == {"stalled": 1}


def test_equal_reasons_are_counted_together(connection) -> None:
    found = runs.reasons(connection, RunFilter(stale_before=FUTURE))
    failed = found[found["state"] == "failed"].iloc[0]
    assert (failed["error"], failed["n"]) == ("out of 100% memory", 2)
    assert set(found["state"]) == {"failed", "stalled"}


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (RunFilter(dataset_id="d1"), {"pre", "base", "base2", "fine", "bad1", "bad2", "slow"}),
        (RunFilter(dataset_id="d2"), set()),
        (RunFilter(study_id="s1", method="simclr"), {"pre", "fine"}),
        (RunFilter(modalities='["rgb","nir"]'), {"bad1", "bad2"}),
        (RunFilter(purposes=("tune", "benchmark")), {"bad1", "bad2"}),
        (RunFilter(statuses=("complete",), method="supervised"), {"base", "base2"}),
        (RunFilter(text="100% MEM"), {"bad1", "bad2"}),
        (RunFilter(text="name%fine"), set()),
        (RunFilter(text="_ine"), set()),
        (RunFilter(text="'; DROP TABLE run; --"), set()),
    ],
)
def test_the_table_holds_what_the_filter_lets_through(connection, chosen, expected) -> None:
    assert set(runs.run_table(connection, chosen)["run_id"]) == expected


def test_the_table_is_newest_first_and_bounded(connection) -> None:
    found = runs.run_table(connection, RunFilter(), limit=2)
    assert list(found["run_id"]) == ["slow", "bad2"]
    scores = runs.run_table(connection, RunFilter()).set_index("run_id")["score"]
    assert scores["fine"] == 0.6 and np.isnan(scores["bad1"])


def test_choices_list_methods_with_sensors(connection) -> None:
    found = runs.choices(connection, "d1", "s1").set_index(["method", "modalities"])["n"]
    assert dict(found) == {
        ("simclr", '["rgb"]'): 2,
        ("supervised", '["rgb"]'): 3,
        ("supervised", '["rgb","nir"]'): 2,
    }


def test_a_run_comes_whole(connection) -> None:
    found = runs.run(connection, "base")
    assert found["params"] == {"optim": {"epochs": 2}} and found["modalities"] == ["rgb"]
    assert (found["study_name"], found["dataset_name"], found["folds_done"]) == ("first", "six", 2)
    assert runs.run(connection, "nothing") is None
    assert list(runs.folds(connection, "base")["seconds"]) == [10.0, 11.0]
    assert list(runs.curves(connection, "base")["value"]) == [0.5, 0.4, 0.5, 0.4]
    assert runs.artifacts(connection, "base").empty


def test_lineage_goes_up_and_down(connection) -> None:
    assert list(runs.lineage(connection, "fine")["run_id"]) == ["pre", "fine"]
    down = runs.lineage(connection, "pre").set_index("run_id")["distance"]
    assert dict(down) == {"pre": 0, "fine": 1}


def test_predictions_and_fruit_come_as_stored(connection) -> None:
    found = fruit.predictions(connection, "base").set_index(["fruit_id", "defect"])
    assert len(found) == 10
    assert tuple(found.loc[("c", "rot"), ["fold", "y_true", "y_pred"]]) == (0, 1, 0)
    assert np.isnan(found.loc[("e", "scar"), "y_true"])
    asked = fruit.fruit(connection, "d1", ["c", "a", "nobody"])
    assert list(asked["fruit_id"]) == ["c", "a"]
    assert asked.loc[0, "images"] == "{}" and asked.loc[1, "images"] == '{"rgb":{"1":"a.png"}}'


def test_pressure_quantiles_ignore_the_missing(connection) -> None:
    found = fruit.pressure_quantiles(connection, "d1").iloc[0]
    assert tuple(found) == ("tap", 1.0, 3.0, 5.0, 1.0, 5.0, 5)


@pytest.mark.parametrize("change", ["dataset", "folds", "fruit", "transductive", "unknown", None])
def test_runs_are_compared_only_where_they_may(tmp_path: Path, change: str | None) -> None:
    with RunStore(tmp_path / "s.db") as store:
        store.add_dataset(data_set(), [])
        store.start_study(StudyRow("s1", "first", {}, "d1", "mcc", FOLDS))
        complete(store, row("a"), 0.5)
        if change == "dataset":
            store.add_dataset(data_set("d2"), [])
            store.start_study(StudyRow("s2", "second", {}, "d2", "mcc", FOLDS))
            complete(store, row("b", "s2", "d2"), 0.5)
        elif change == "folds":
            store.start_study(StudyRow("s2", "second", {}, "d1", "mcc", {**FOLDS, "a": 1}))
            complete(store, row("b", "s2"), 0.5)
        elif change == "fruit":
            store.start_run(row("b"))
            store.write_fold("b", fold(0))
            store.finish_run("b", [])
        elif change != "unknown":
            complete(store, row("b", transductive=change == "transductive"), 0.5)
        reasons = results.comparability(store.connection, "a", "b")
    assert reasons == {None: [], "dataset": ["dataset", "labels"]}.get(change, [change])
    assert change != "dataset" or "dataset" in reasons


def test_class_confusion_sums_the_folds(tmp_path: Path) -> None:
    labels = np.array([[1, 0], [0, 1], [1, 0], [0, 1], [1, 0], [NAN, NAN]], dtype=np.float32)
    with RunStore(tmp_path / "s.db") as store:
        store.add_dataset(data_set(task=MULTICLASS, labels=labels), [])
        store.start_study(StudyRow("s1", "first", {}, "d1", "mcc", FOLDS))
        store.start_run(row("a"))
        for number in (0, 1):
            ids = tuple(name for name, part in FOLDS.items() if part == number)
            truth = labels[[IDS.index(name) for name in ids]]
            said = np.tile(np.array([1, 0], dtype=np.uint8), (len(ids), 1))
            predictions = Predictions(ids, ("rot", "scar"), truth, said.astype(np.float32), said)
            store.write_fold("a", FoldBundle(number, 1.0, predictions))
        store.finish_run("a", [])
        pooled = results.class_confusion(store.connection, "a").set_index(["true_class", "predicted_class"])
        first = results.class_confusion(store.connection, "a", 0).set_index(["true_class", "predicted_class"])
    assert dict(pooled["n"]) == {("rot", "rot"): 3, ("scar", "rot"): 2}
    assert dict(first["n"]) == {("rot", "rot"): 2, ("scar", "rot"): 1}


def test_the_watch_sees_commits_and_replaced_files(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with RunStore(path) as store:
        watch = StoreWatch(path)
        before = watch.version()
        assert watch.version() == before
        store.add_dataset(data_set(), [])
        assert watch.version() != before
    path.unlink()
    RunStore(path).close()
    assert watch.version() is None
    watch.close()


def test_the_watch_needs_a_store(tmp_path: Path) -> None:
    with pytest.raises(StoreMissing):
        StoreWatch(tmp_path / "none.db")


def test_the_read_side_cannot_write(connection) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM run")
