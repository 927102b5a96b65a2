"""The whole chain on tiny fruit: folder in, run store out."""

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import matthews_corrcoef

from backend.errors import ConfigError, DataError, LostFileError, StoreError
from backend.training.plan import Plan
from backend.training.settings import BaselineStage, DataReportStage, PretrainingStage
from backend.training.stages import STAGES
from backend.training.study import StudyOptions, default_workers, run_study

PLAN = Plan(
    name="tiny",
    folds=2,
    resolution=16,
    baseline=BaselineStage(trials=3, generation=2, tune_epochs=4, epochs=4, patience=4, min_steps=0),
)

TINY = replace(PLAN, baseline=replace(PLAN.baseline, backbones=("tiny",)))
"""The same for what no other process takes part in."""

ONE = replace(TINY, baseline=replace(TINY.baseline, trials=1, tune_epochs=1, epochs=1))
"""With nothing to search for."""

pytestmark = pytest.mark.usefixtures("tiny_backbone")


def options(folder: Path, out: Path, **fields: object) -> StudyOptions:
    values = {"workers": 0, "device": "cpu", "quiet": True, **fields}
    return StudyOptions(folder, out / "store.db", out / "cache", **values)  # type: ignore[arg-type]


def query(store: Path, sql: str) -> list[tuple]:
    with closing(sqlite3.connect(store)) as connection:
        return connection.execute(sql).fetchall()


NUMBERS = "SELECT run_id, fold, fruit_id, defect, y_true, score, y_pred FROM prediction ORDER BY 1, 2, 3, 4"


@pytest.fixture(scope="module")
def finished(multilabel_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("finished")
    return out / "store.db", run_study(PLAN, options(multilabel_folder, out))


def test_the_store_holds_the_whole_story(finished):
    store, summary = finished
    assert summary["status"] == "complete"
    assert summary["runs"] == {"complete": 4}
    assert query(store, "SELECT status, COUNT(*) FROM study GROUP BY 1") == [("complete", 1)]
    runs = query(store, "SELECT purpose, COUNT(*) FROM run GROUP BY 1 ORDER BY 1")
    assert runs == [("final", 1), ("tune", 3)]
    assert query(store, "SELECT COUNT(*) FROM fruit") == [(72,)]
    assert summary["best"]["mcc"] == pytest.approx(
        query(store, "SELECT value FROM metric WHERE metric = 'mcc' AND fold IS NULL AND defect IS NULL")[0][
            0
        ]
    )


def test_every_labelled_fruit_is_predicted_once(finished):
    store, _ = finished
    assert query(store, "SELECT COUNT(*), COUNT(DISTINCT fruit_id || defect) FROM prediction") == [(180, 180)]
    tuning = "SELECT COUNT(*) FROM prediction JOIN run USING (run_id) WHERE purpose = 'tune'"
    assert query(store, tuning) == [(0,)]


def test_stored_metrics_are_those_of_the_stored_predictions(finished):
    store, _ = finished
    rows = query(store, "SELECT defect, y_true, y_pred FROM prediction WHERE y_true IS NOT NULL")
    values = []
    for defect in ("rot", "scar", "soft"):
        true, called = zip(*[(t, p) for d, t, p in rows if d == defect], strict=True)
        values.append(matthews_corrcoef(true, called))
        stored = query(
            store,
            "SELECT value, ci_low, ci_high FROM metric WHERE metric = 'mcc' AND fold IS NULL "
            f"AND defect = '{defect}'",
        )
        assert stored[0][0] == pytest.approx(values[-1], abs=1e-6)
        assert stored[0][1] <= stored[0][0] <= stored[0][2]
    stored = query(store, "SELECT value FROM metric WHERE metric = 'mcc' AND fold IS NULL AND defect IS NULL")
    assert stored[0][0] == pytest.approx(np.mean(values), abs=1e-6)


def test_no_group_straddles_the_folds(finished):
    store, _ = finished
    folds = json.loads(query(store, "SELECT folds FROM study")[0][0])
    groups = dict(query(store, "SELECT fruit_id, fruit_group FROM fruit"))
    of_group: dict[str, set[int]] = {}
    for fruit, fold in folds.items():
        of_group.setdefault(groups[fruit], set()).add(fold)
    assert all(len(found) == 1 for found in of_group.values())
    assert len(folds) == 60


@pytest.mark.slow
def test_the_same_seed_gives_the_same_numbers_with_other_workers(finished, multilabel_folder, tmp_path):
    store, _ = finished
    run_study(PLAN, options(multilabel_folder, tmp_path, workers=2))
    assert query(tmp_path / "store.db", NUMBERS) == query(store, NUMBERS)
    search = "SELECT config_hash, status FROM run ORDER BY 1"
    assert query(tmp_path / "store.db", search) == query(store, search)


def test_an_interrupted_study_ends_with_the_same_numbers(finished, multilabel_folder, tmp_path, monkeypatch):
    """Interrupted after every fold in turn: nothing is lost, nothing done twice."""
    from backend.store.writer import RunStore

    written: list[tuple[str, int]] = []
    original = RunStore.write_fold

    def write_then_stop(self, run_id, bundle):
        original(self, run_id, bundle)
        written.append((run_id, bundle.fold))
        raise KeyboardInterrupt

    monkeypatch.setattr(RunStore, "write_fold", write_then_stop)
    for _ in range(5):
        with pytest.raises(KeyboardInterrupt):
            run_study(PLAN, options(multilabel_folder, tmp_path))
        states = query(
            tmp_path / "store.db", "SELECT DISTINCT status FROM run UNION SELECT status FROM study"
        )
        assert ("running",) not in states
        assert query(tmp_path / "store.db", "SELECT status FROM study") == [("interrupted",)]
    monkeypatch.setattr(RunStore, "write_fold", original)
    summary = run_study(PLAN, options(multilabel_folder, tmp_path))
    assert summary["status"] == "complete"
    assert len(set(written)) == len(written) == 5
    assert query(tmp_path / "store.db", NUMBERS) == query(finished[0], NUMBERS)


@pytest.mark.slow
def test_what_another_study_left_running_is_interrupted(finished, multiclass_folder, tmp_path):
    """Whoever holds the store is its only driver: no other study runs, whatever a killed one left."""
    store = Path(shutil.copy(finished[0], tmp_path))
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("UPDATE study SET status = 'running'")
        connection.execute("UPDATE run SET status = 'running' WHERE purpose = 'final'")
    trial = BaselineStage(trials=1, tune_epochs=1, epochs=1, min_steps=0, backbones=("tiny",))
    run_study(replace(PLAN, name="other", baseline=trial), options(multiclass_folder, tmp_path))
    states = query(store, "SELECT name, status FROM study ORDER BY name")
    assert states == [("other · tiny-classes", "complete"), ("tiny · tiny", "interrupted")]
    assert query(store, "SELECT COUNT(*) FROM run WHERE status = 'interrupted'") == [(1,)]


def test_a_search_left_by_a_store_that_is_gone_is_not_taken_for_this_one_s(multiclass_folder, tmp_path):
    small = replace(TINY, baseline=replace(TINY.baseline, tune_epochs=1, epochs=1))
    first = run_study(small, options(multiclass_folder, tmp_path))
    for file in tmp_path.glob("store.db*"):
        file.unlink()
    again = run_study(small, options(multiclass_folder, tmp_path))
    assert again["runs"] == first["runs"] == {"complete": 4}
    assert again["best"] == first["best"]


@pytest.mark.slow
def test_what_a_stage_costs_is_not_learned_from_a_study_that_has_it_already(multiclass_folder, tmp_path):
    small = replace(
        PLAN,
        baseline=BaselineStage(trials=1, tune_epochs=1, epochs=1, min_steps=0, backbones=("tiny",)),
        data_report=DataReportStage(enabled=True),
    )

    def learned():
        (costs,) = json.loads((tmp_path / "calibration.json").read_text()).values()
        return costs["stages"]

    run_study(small, options(multiclass_folder, tmp_path))
    first = learned()
    assert first["data_report"] > 0
    run_study(small, options(multiclass_folder, tmp_path))
    assert learned() == first


def test_a_finished_study_is_not_run_again(finished, multilabel_folder, monkeypatch):
    store, first = finished

    def never(*args):
        raise AssertionError("a fold was trained again")

    monkeypatch.setattr("backend.training.execute.TASKS", {"baseline": never})
    again = run_study(PLAN, options(multilabel_folder, store.parent))
    assert again["runs"] == first["runs"]
    assert again["best"] == first["best"]


def test_a_fault_costs_its_run_only(multiclass_folder, tmp_path, monkeypatch):
    from backend.training import execute

    original = execute.TASKS["baseline"]
    broken: list[str] = []

    def sometimes(task, context):
        if task.config.purpose == "tune" and not broken:
            broken.append(task.run_id)
        if task.run_id in broken:
            raise RuntimeError("the sensor caught fire")
        return original(task, context)

    monkeypatch.setitem(execute.TASKS, "baseline", sometimes)
    summary = run_study(TINY, options(multiclass_folder, tmp_path))
    assert summary["runs"] == {"complete": 3, "failed": 1}
    assert "the sensor caught fire" in summary["failed"][0]["error"]
    assert summary["status"] == "complete"


def test_a_method_that_cannot_work_here_costs_no_other(multilabel_folder, tmp_path):
    plan = replace(
        ONE,
        modalities=("nir",),
        pretraining=PretrainingStage(
            methods=("colourisation", "simclr"),
            epochs=1,
            batch_size=16,
            fractions=(1.0,),
            min_steps=1,
            trials=2,
            generation=2,
            tune_epochs=1,
        ),
        data_report=DataReportStage(enabled=True),
    )
    summary = run_study(plan, options(multilabel_folder, tmp_path))
    assert summary["status"] == "complete"
    whole = [fault for fault in summary["failed"] if fault["run_id"] is None]
    assert [fault["name"] for fault in whole] == ["colourisation"]
    assert whole[0]["error"].startswith("search of colourisation: none of 2 trials finished")
    finished = query(tmp_path / "store.db", "SELECT DISTINCT method FROM run WHERE status = 'complete'")
    assert {row[0] for row in finished} == {"supervised", "simclr"}
    assert query(tmp_path / "store.db", "SELECT COUNT(*) FROM finding")[0][0]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ZeroDivisionError("no fruit left\nat all"), "ZeroDivisionError: no fruit left at all"),
        (LostFileError("the encoders are gone", where="store.db"), "store.db: the encoders are gone"),
    ],
)
def test_a_stage_that_breaks_costs_no_other(multiclass_folder, tmp_path, monkeypatch, error, said):
    def broken(stage):
        raise error

    monkeypatch.setitem(STAGES, "input ablation", broken)
    plan = replace(ONE, data_report=DataReportStage(enabled=True))
    summary = run_study(plan, options(multiclass_folder, tmp_path))
    assert summary["status"] == "complete"
    ((name, found),) = [(fault["name"], fault["error"]) for fault in summary["failed"]]
    assert name == "input ablation"
    assert found.splitlines()[0] == said
    assert query(tmp_path / "store.db", "SELECT COUNT(*) FROM finding")[0][0]


def test_a_store_that_takes_nothing_ends_the_study(multiclass_folder, tmp_path, monkeypatch):
    def full(stage):
        raise StoreError("the disk is full")

    monkeypatch.setitem(STAGES, "input ablation", full)
    with pytest.raises(StoreError, match="the disk is full"):
        run_study(ONE, options(multiclass_folder, tmp_path))
    assert query(tmp_path / "store.db", "SELECT status FROM study") == [("failed",)]


def test_where_no_trial_finished_one_line_says_so_and_the_next_start_searches_again(
    multiclass_folder, tmp_path, monkeypatch
):
    def always(task, context):
        raise RuntimeError("broken")

    with monkeypatch.context() as patch:
        patch.setattr("backend.training.execute.TASKS", {"baseline": always})
        with pytest.raises(ConfigError, match="none of 3 trials finished"):
            run_study(TINY, options(multiclass_folder, tmp_path))
    assert query(tmp_path / "store.db", "SELECT status FROM study") == [("failed",)]
    again = run_study(TINY, options(multiclass_folder, tmp_path))
    assert (again["status"], again["runs"]) == ("complete", {"complete": 4}), "what broke them has passed"


def test_sensors_can_be_narrowed_and_unknown_ones_are_named(multilabel_folder, tmp_path):
    narrowed = TINY.narrowed(modalities=("pressure", "nir"), trials=1)
    run_study(narrowed, options(multilabel_folder, tmp_path))
    assert query(tmp_path / "store.db", "SELECT DISTINCT modalities FROM run") == [('["nir","pressure"]',)]
    with pytest.raises(ConfigError, match=r"thermal.*nir, pressure, rgb"):
        run_study(TINY.narrowed(modalities=("thermal",)), options(multilabel_folder, tmp_path))


def test_data_that_would_make_results_wrong_are_refused(write_folder, tmp_path):
    folder = write_folder(tmp_path / "data")
    text = (folder / "manifest.csv").read_text().replace("f005,", "f004,")
    (folder / "manifest.csv").write_text(text)
    with pytest.raises(DataError, match=r"manifest.csv row 7.*f004"):
        run_study(PLAN, options(folder, tmp_path))
    assert not (tmp_path / "store.db").exists()


def test_workers_fit_the_machine():
    assert default_workers(10_000, "cpu") == 1
    assert default_workers(1, "cuda") == 1
