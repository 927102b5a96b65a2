"""The stages after the finals on tiny fruit: maps, neighbours, groups, the data report and the cards."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from backend.config import ModelConfig, RunConfig
from backend.store.queries import open_readonly
from backend.training.driver import RunResult
from backend.training.plan import Plan
from backend.training.settings import BaselineStage, DataReportStage, PretrainingStage, ProjectionStage
from backend.training.stages import projecting, reporting
from backend.training.study import StudyOptions, run_study

pytestmark = [pytest.mark.usefixtures("tiny_backbone"), pytest.mark.slow]

PLAN = Plan(
    name="tiny-maps",
    folds=2,
    resolution=16,
    baseline=BaselineStage(trials=1, generation=1, tune_epochs=1, epochs=3, min_steps=0, backbones=("tiny",)),
    pretraining=PretrainingStage(methods=("simclr",), epochs=1, batch_size=16, fractions=(1.0,), min_steps=4),
    projections=ProjectionStage(enabled=True, perplexities=(5.0, 30.0), neighbours=4),
    data_report=DataReportStage(enabled=True, keep=7),
)
MAPS = ["pca", "tsne", "tsne_5", "umap"]


def query(store: Path, sql: str) -> list[tuple]:
    with closing(sqlite3.connect(store)) as connection:
        return connection.execute(sql).fetchall()


def run(folder: Path, out: Path, plan: Plan = PLAN) -> dict:
    options = StudyOptions(folder, out / "store.db", out / "cache", workers=0, quiet=True, device="cpu")
    return run_study(plan, options)


@pytest.fixture(scope="module")
def store(multilabel_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("maps")
    assert run(multilabel_folder, out)["status"] == "complete"
    return out / "store.db"


def artifacts(store: Path, name: str) -> dict[str, str]:
    rows = query(store, f"SELECT run_id, path FROM artifact WHERE name = '{name}'")
    return {run_id: (store.parent / path).read_text() for run_id, path in rows}


def test_baseline_and_pretraining_have_every_map_of_every_fruit(store):
    rows = query(
        store,
        "SELECT kind, method, projection, COUNT(*), COUNT(DISTINCT fruit_id), MIN(fold), MAX(fold) "
        "FROM embedding JOIN run USING (run_id) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
    )
    assert rows == [
        (kind, method, name, 72, 72, 0, 0)
        for kind, method in (("baseline", "supervised"), ("probe", "simclr"))
        for name in MAPS
    ]
    assert query(store, "SELECT COUNT(*) FROM embedding WHERE x IS NULL OR y IS NULL") == [(0,)]


def test_the_best_pretraining_is_shown_by_its_probe_whichever_study_it_was_made_in():
    def result(name, score, status="complete", modalities=("rgb",)):
        config = RunConfig(model=ModelConfig(modalities=modalities))
        return RunResult(name, config, status, score)

    pairs = [
        (result("worse", 0.2), result("probe of worse", float("nan"))),
        (result("twin", 0.5), result("probe of twin", float("nan"))),
    ]
    stage = SimpleNamespace(baselines=[result("a", 0.1), result("b", 0.3)], pretrained=pairs)
    assert projecting.shown_runs(stage) == ["b", "probe of twin"]
    pairs[1] = (pairs[1][0], result("probe of twin", float("nan"), "failed"))
    assert projecting.shown_runs(stage) == ["b", "twin"]
    stage.baselines = [result("a", 0.1, modalities=("pressure",))]
    assert projecting.shown_runs(stage) == ["twin"]
    stage.pretrained = []
    assert projecting.shown_runs(stage) == []


def test_every_map_says_how_far_it_may_be_believed(store):
    rows = query(store, "SELECT metric, value, reason FROM metric WHERE metric LIKE 'trustworthiness:%'")
    assert sorted(metric for metric, _, _ in rows) == sorted(f"trustworthiness:{name}" for name in MAPS * 2)
    for metric, value, reason in rows:
        assert 0.5 < value <= 1
        clamped = metric == "trustworthiness:tsne"
        assert reason == ("perplexity 23.7, the most that 72 fruit allow" if clamped else "")


def test_neighbours_are_the_most_similar_fruit_and_never_oneself(store):
    runs = query(store, "SELECT run_id, COUNT(DISTINCT fruit_id), COUNT(*) FROM neighbour GROUP BY 1")
    assert [(fruit, rows) for _, fruit, rows in runs] == [(72, 288)] * 2
    assert query(store, "SELECT COUNT(*) FROM neighbour WHERE fruit_id = neighbour_id") == [(0,)]
    for run_id, _, _ in runs:
        for fruit in ("f000", "f071"):
            values = query(
                store,
                f"SELECT similarity FROM neighbour WHERE run_id = '{run_id}' AND fruit_id = '{fruit}' "
                "ORDER BY rank",
            )
            assert values == sorted(values, reverse=True)
            assert -1 <= values[-1][0] <= values[0][0] <= 1.000001


def test_the_pallet_is_asked_for(store):
    rows = dict(
        query(
            store,
            "SELECT metric || kind, value FROM metric JOIN run USING (run_id) WHERE metric LIKE 'group%'",
        )
    )
    assert set(rows) == {
        f"group_{what}{kind}" for what in ("chance", "probe_accuracy") for kind in ("baseline", "probe")
    }
    assert rows["group_chancebaseline"] == pytest.approx(1 / 36)  # 36 pallets of two
    assert 0 <= rows["group_probe_accuracybaseline"] <= 1


def test_the_report_describes_every_sensor_and_keeps_no_more_than_it_may(store):
    rows = dict(query(store, "SELECT subject, detail FROM finding WHERE kind = 'sensor'"))
    assert set(rows) == {"rgb", "nir", "pressure:tap"}
    assert json.loads(rows["rgb"])["missing"] == pytest.approx(4 / 144)
    assert all(number <= 7 for _, number in query(store, "SELECT kind, COUNT(*) FROM finding GROUP BY 1"))
    (report,) = artifacts(store, "data_report.json").values()
    found = json.loads(report)["found"]
    assert set(found) == {"sensor", "drift", "duplicate", "label_conflict", "label_issue", "outlier"}
    assert found["duplicate"] == 0


def test_every_final_run_has_its_cards(store):
    finals = {row[0] for row in query(store, "SELECT run_id FROM run WHERE purpose = 'final'")}
    models, data = artifacts(store, "model_card.md"), artifacts(store, "data_card.md")
    assert set(models) == set(data) == finals
    fingerprint = query(store, "SELECT dataset_id FROM dataset")[0][0]
    for run_id, text in models.items():
        assert run_id in text
        assert fingerprint in text
        assert "drawn by a program" in text
    (baseline,) = (text for run_id, text in models.items() if "| kind | baseline, final |" in text)
    value, low, high = query(
        store,
        "SELECT value, ci_low, ci_high FROM metric JOIN run USING (run_id) WHERE kind = 'baseline' AND "
        "purpose = 'final' AND metric = 'mcc' AND defect = 'rot' AND fold IS NULL",
    )[0]
    assert f"| rot | {value:.3f} ({low:.3f} to {high:.3f}) |" in baseline
    assert "72 fruit of 36 groups, 60 labelled" in next(iter(data.values()))


def test_a_finished_study_draws_nothing_again(store, multilabel_folder, monkeypatch):
    def never(*args, **kwargs):
        raise AssertionError("computed again")

    monkeypatch.setattr(projecting, "feature_space", never)
    monkeypatch.setattr(reporting, "feature_space", never)
    monkeypatch.setattr(reporting, "read_sensors", never)
    before = (
        query(store, "SELECT * FROM embedding ORDER BY 1, 2, 3"),
        query(store, "SELECT * FROM artifact ORDER BY 1, 2"),
    )
    assert run(multilabel_folder, store.parent)["status"] == "complete"
    after = (
        query(store, "SELECT * FROM embedding ORDER BY 1, 2, 3"),
        query(store, "SELECT * FROM artifact ORDER BY 1, 2"),
    )
    assert after == before


def test_a_map_that_was_lost_is_drawn_again_the_same(store, multilabel_folder):
    before = query(store, "SELECT * FROM embedding ORDER BY 1, 2, 3")
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("DELETE FROM embedding WHERE projection = 'tsne_5'")
        connection.execute("DELETE FROM metric WHERE metric = 'trustworthiness:tsne_5'")
    run(multilabel_folder, store.parent)
    after = query(store, "SELECT * FROM embedding ORDER BY 1, 2, 3")
    assert [row[:3] for row in after] == [row[:3] for row in before]
    np.testing.assert_array_equal([row[3:5] for row in after], [row[3:5] for row in before])


def test_a_stage_that_fails_costs_neither_the_others_nor_the_study(
    multilabel_folder, tmp_path, monkeypatch, capsys
):
    def broken(*args, **kwargs):
        raise MemoryError("no room for neighbours")

    monkeypatch.setattr(projecting, "find_neighbours", broken)
    monkeypatch.setattr(projecting.Projector, "_umap", broken)
    monkeypatch.setattr(reporting, "similar_fruit", broken)
    plan = replace(
        PLAN, pretraining=PretrainingStage(), projections=replace(PLAN.projections, perplexities=(5.0,))
    )
    assert run(multilabel_folder, tmp_path, plan)["status"] == "complete"
    store = tmp_path / "store.db"
    assert query(store, "SELECT DISTINCT projection FROM embedding ORDER BY 1") == [("pca",), ("tsne_5",)]
    assert query(store, "SELECT COUNT(*) FROM finding WHERE kind = 'sensor'") == [(3,)]
    assert artifacts(store, "data_report.json") == {}
    assert len(artifacts(store, "model_card.md")) == 1
    monkeypatch.undo()
    run(multilabel_folder, tmp_path, plan)
    assert query(store, "SELECT COUNT(DISTINCT projection) FROM embedding") == [(3,)]
    assert query(store, "SELECT COUNT(*) FROM neighbour") == [(288,)]
    assert len(artifacts(store, "data_report.json")) == 1


def test_readings_alone_have_no_feature_space(multilabel_folder, tmp_path):
    plan = replace(PLAN, modalities=("pressure",), pretraining=PretrainingStage())
    assert run(multilabel_folder, tmp_path, plan)["status"] == "complete"
    store = tmp_path / "store.db"
    assert query(store, "SELECT COUNT(*) FROM embedding") == [(0,)]
    assert len(artifacts(store, "data_report.json")) == 1
    with closing(open_readonly(store)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM finding WHERE kind = 'outlier'").fetchone()[0] == 0
