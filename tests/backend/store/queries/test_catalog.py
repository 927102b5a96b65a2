"""Queries of data sets and studies."""

from __future__ import annotations

from pathlib import Path

from backend.data.dataset import MULTILABEL
from backend.store.queries import catalog
from backend.store.rows import StudyRow
from backend.store.writer import RunStore


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
    groups = catalog.groups(connection, "d1")
    assert len(groups) == 3 and groups == tuple(sorted(groups))
    members = [catalog.fruit_of(connection, "d1", name) for name in groups]
    assert all(members) and sum(map(len, members)) == len(frozenset().union(*members)) == 6


def test_studies_count_their_runs_and_their_finished_finals(connection) -> None:
    found = catalog.studies(connection, "d1")
    assert tuple(found.loc[0, ["study_id", "n_runs", "n_final"]]) == ("s1", 7, 4)
    assert catalog.studies(connection, "d2").empty
    assert catalog.finished_runs(connection) == 4
    assert catalog.study(connection, "s1")["plan"] == {"plan": 1}
    assert catalog.study(connection, "nothing") is None


def test_running_studies_say_how_to_go_on(tmp_path: Path, data_set, folds) -> None:
    with RunStore(tmp_path / "s.db") as store:
        store.add_dataset(data_set(), [])
        store.start_study(StudyRow("a", "first", {"plan": {"name": "quick"}}, "d1", "mcc", folds))
        store.start_study(StudyRow("b", "second", {"plan": 3}, "d1", "mcc", folds))
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
