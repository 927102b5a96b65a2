"""The store is read once a state, seen again after every commit, and never locked."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from backend.store.backup import back_up
from backend.store.queries.ablations import costs_by_group
from backend.store.writer import RunStore
from dashboard import loaders
from dashboard import loaders_findings as load
from dashboard.loaders import StoreError, StoreMissing, open_store, store_path


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the queries that reached the file."""
    asked: list[str] = []
    original = loaders._read

    def read(path, query, *args, **kwargs):
        asked.append(query.__name__)
        return original(path, query, *args, **kwargs)

    monkeypatch.setattr(loaders, "_read", read)
    return asked


def test_the_option_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AVOCADO_STORE", raising=False)
    assert store_path() == Path("runs/store.db")
    monkeypatch.setenv("AVOCADO_STORE", "elsewhere.db")
    assert store_path() == Path("elsewhere.db")
    assert store_path("mine.db") == Path("mine.db")


def test_a_question_is_asked_once_a_state(half_written_store: Path, counted: list[str]) -> None:
    for _ in range(3):
        open_store(half_written_store).datasets()
    assert counted == ["datasets"]
    with RunStore(half_written_store) as store:
        store.update_progress("s", {"done": 1})
        assert open_store(half_written_store).study("s")["progress"] == {"done": 1}
        store.update_progress("s", {"done": 2})
        assert open_store(half_written_store).study("s")["progress"] == {"done": 2}


def test_what_never_changes_is_not_read_again(half_written_store: Path, counted: list[str]) -> None:
    dataset = open_store(half_written_store).datasets()["dataset_id"][0]
    open_store(half_written_store).defect_counts(dataset)
    with RunStore(half_written_store) as store:
        store.update_progress("s", {"done": 1})
    open_store(half_written_store).defect_counts(dataset)
    assert counted.count("defect_counts") == 1


def test_predictions_of_finished_runs_are_not_read_again(
    full_store: Path, tmp_path: Path, counted: list[str]
) -> None:
    copy = tmp_path / "copy.db"
    back_up(full_store, copy)
    prices = '{"bruising": [1.0, 1.0]}'
    dataset = str(open_store(copy).datasets()["dataset_id"][0])
    runs = tuple(open_store(copy).scored_runs(dataset, "", ("final",))["run_id"][:2])
    study = str(open_store(copy).studies(dataset)["study_id"][0])
    first = open_store(copy).ask_predictions(costs_by_group, runs, prices)
    with RunStore(copy) as store:
        store.heartbeat([], study)
    again = open_store(copy).ask_predictions(costs_by_group, runs, prices)
    assert again is first and counted.count("costs_by_group") == 1
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute("UPDATE run SET finished = '2999-01-01' WHERE run_id = ?", runs[:1])
    open_store(copy).ask_predictions(costs_by_group, runs, prices)
    assert counted.count("costs_by_group") == 2


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE run SET status = 'failed' WHERE purpose = 'tune' AND status = 'complete'",
        "UPDATE run SET seconds = seconds + 1 WHERE purpose = 'tune'",
        "DELETE FROM run WHERE purpose = 'tune'",
    ],
)
def test_trials_are_read_again_once_one_of_them_started_or_ended(
    full_store: Path, tmp_path: Path, counted: list[str], change: str
) -> None:
    copy = tmp_path / "copy.db"
    back_up(full_store, copy)
    with closing(sqlite3.connect(copy)) as connection:
        where = connection.execute("SELECT dataset_id FROM run WHERE purpose = 'tune'").fetchone()[0]
        study = connection.execute("SELECT study_id FROM run WHERE purpose = 'tune'").fetchone()[0]
    first = load.trials(open_store(copy), where, study)
    with RunStore(copy) as store:
        store.heartbeat(first["run_id"], study)
        store.update_progress(study, {"done": 1})
    assert load.trials(open_store(copy), where, study) is first and counted.count("trials") == 1
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute(change)
    again = load.trials(open_store(copy), where, study)
    assert not again.equals(first) and counted.count("trials") == 2


def test_a_replaced_file_is_another_store(half_written_store: Path, full_store: Path) -> None:
    before = open_store(half_written_store)
    assert len(before.datasets()) == 1
    for side in half_written_store.parent.glob("half.db*"):
        side.unlink()
    with sqlite3.connect(full_store) as source, sqlite3.connect(half_written_store) as target:
        source.backup(target)
    assert len(open_store(half_written_store).datasets()) == 2


def test_reading_works_while_a_writer_is_at_work(half_written_store: Path) -> None:
    with RunStore(half_written_store) as store, store.transaction() as connection:
        connection.execute("UPDATE study SET name = 'changed'")
        store_now = open_store(half_written_store)
        studies = store_now.studies(store_now.datasets()["dataset_id"][0])
        assert studies["name"].tolist() == ["tonight"]


def test_wrong_files_are_said_to_be_wrong(tmp_path: Path, broken_stores: dict[str, Path]) -> None:
    with pytest.raises(StoreMissing):
        open_store(tmp_path / "none.db")
    for path in broken_stores.values():
        with pytest.raises(StoreError) as found:
            open_store(path)
        assert str(path) in str(found.value) and not isinstance(found.value, StoreMissing)


def test_scores_of_a_run_are_kept_whole(full_store: Path, counted: list[str]) -> None:
    store = open_store(full_store)
    dataset = store.datasets().set_index("name").loc["synthetic-hass", "dataset_id"]
    run = store.scored_runs(dataset, "", ("final",)).iloc[0]
    order = tuple(defect.name for defect in store.dataset(dataset).defects)
    first = store.scores(run["run_id"], run["finished"], order)
    assert store.scores(run["run_id"], run["finished"], order) is first
    assert counted.count("predictions") == 1 and first.score.shape == (240, 10)
