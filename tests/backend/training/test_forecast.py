"""What is expected of a study is what it then makes."""

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import replace

import pytest

from backend.explain.projection import Projector
from backend.training.budget import Budget
from backend.training.calibration import MAP_FRUIT, seconds_of_maps
from backend.training.driver import NO_TIME
from backend.training.forecast import make_forecast
from backend.training.plan import Plan
from backend.training.search import BATCH_SIZES
from backend.training.settings import (
    AugmentationStage,
    BaselineStage,
    InputAblationStage,
    PretrainingStage,
    ProjectionStage,
)
from backend.training.study import StudyOptions, expect_study, run_study

PLAN = Plan(
    name="tiny",
    folds=2,
    modalities=("rgb", "nir"),
    resolution=16,
    baseline=BaselineStage(trials=3, generation=2, tune_epochs=1, epochs=1, min_steps=0),
    pretraining=PretrainingStage(
        methods=("random_init", "simclr"), epochs=1, batch_size=16, fractions=(0.5, 1.0), min_steps=0
    ),
    input_ablation=InputAblationStage(enabled=True),
    augmentations=AugmentationStage(
        method="simclr",
        operations=("horizontal_flip", "vertical_flip"),
        pairs=True,
        leave_one_out=False,
        strengths=(),
        epochs=1,
        confirm=1,
        seeds=(0,),
    ),
)


@pytest.fixture
def options(multilabel_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("backend.training.calibration.MEASURE_SECONDS", 0.01)
    monkeypatch.setattr("backend.training.driver.RESAMPLES", 50)
    return StudyOptions(multilabel_folder, tmp_path / "store.db", tmp_path / "cache", 0, "cpu", quiet=True)


def folds_in(store):
    sql = "SELECT purpose || ' ' || kind, COUNT(*) FROM run JOIN run_fold USING (run_id) GROUP BY 1"
    with closing(sqlite3.connect(store)) as connection:
        return dict(connection.execute(sql).fetchall())


@pytest.mark.slow
def test_a_study_makes_the_folds_that_were_expected(options):
    expected = expect_study(PLAN, options)
    assert not options.store.exists()
    assert expected["seconds"] > 0
    assert expected["unknown"] == []
    summary = run_study(PLAN, options)
    assert summary["runs"].keys() == {"complete"}
    assert expected["study_id"] == summary["study_id"]
    made = folds_in(options.store)
    counted: Counter[str] = Counter()
    for work in expected["works"]:
        counted[work["stage"]] += work["runs"] * work["folds"]
    assert counted["baseline"] == made["tune baseline"] + made["final baseline"]
    own = ("final pretrain", "final probe", "final finetune")
    fewer = ("label-efficiency baseline", "label-efficiency probe", "label-efficiency finetune")
    assert counted["pretraining"] == sum(made.get(name, 0) for name in (*own, *fewer))
    assert counted["input_ablation"] == made["input-ablation baseline"]
    assert counted["augmentations"] == sum(n for name, n in made.items() if name.startswith("augm"))


def test_maps_are_compiled_and_measured_before_the_time_is_shared_out(options, monkeypatch):
    seconds_of_maps.cache_clear()
    drawn = []
    monkeypatch.setattr(Projector, "draw", lambda self, name: drawn.append((len(self.features), name)))
    plan = replace(
        PLAN,
        pretraining=PretrainingStage(),
        augmentations=AugmentationStage(),
        input_ablation=InputAblationStage(),
        projections=ProjectionStage(enabled=True, perplexities=(5.0,)),
    )
    budget = replace(options, budget=3600.0)
    assert expect_study(plan, budget)["unknown"] == ["projections"]
    assert drawn == 2 * [(MAP_FRUIT, name) for name in ("pca", "umap", "tsne_5")]
    expect_study(plan, budget)
    assert len(drawn) == 6, "once a process"
    seconds_of_maps.cache_clear()


def test_a_study_that_runs_out_of_time_says_of_each_run_why_it_is_missing(options, monkeypatch):
    plan = replace(PLAN, pretraining=PretrainingStage(), augmentations=AugmentationStage())
    monkeypatch.setattr(Budget, "may_start", lambda self, config: config.purpose != "input-ablation")
    summary = run_study(plan, replace(options, budget=3600.0))
    assert (summary["status"], summary["failed"]) == ("complete", [])
    assert summary["runs"] == {"complete": 4, "interrupted": 2}
    with closing(sqlite3.connect(options.store)) as connection:
        found = connection.execute(
            "SELECT purpose, status, error FROM run WHERE error IS NOT NULL"
        ).fetchall()
    assert found == 2 * [("input-ablation", "interrupted", NO_TIME)]
    monkeypatch.undo()
    assert run_study(plan, replace(options, budget=3600.0))["runs"] == {"complete": 6}


def test_what_follows_the_search_is_expected_as_the_search_has_chosen(options, monkeypatch):
    forecasts = []

    def keep(*arguments, **more):
        forecasts.append(make_forecast(*arguments, **more))
        return forecasts[-1]

    monkeypatch.setattr("backend.training.study.make_forecast", keep)
    plan = replace(PLAN, pretraining=PretrainingStage(), augmentations=AugmentationStage())
    run_study(plan, replace(options, budget=3600.0))
    before, after = (forecast.outlook.parameters for forecast in forecasts)
    assert before == {}
    assert after["batch_size"] in BATCH_SIZES


@pytest.mark.slow
def test_a_budget_cuts_says_so_and_holds_after_a_resume(options):
    plan = replace(PLAN, input_ablation=InputAblationStage(), augmentations=AugmentationStage())
    whole = expect_study(plan, options)["seconds"]
    tight = replace(options, budget=max(1.0, 0.3 * whole))
    expected = expect_study(plan, tight)
    assert expected["cuts"]
    assert expected["seconds"] < whole
    first = run_study(plan, tight)
    assert first["cuts"]
    made = folds_in(options.store)
    again = run_study(plan, tight)
    assert again["cuts"] == first["cuts"]
    assert folds_in(options.store) == made
    assert again["study_id"] == first["study_id"] != run_study(plan, options)["study_id"]
