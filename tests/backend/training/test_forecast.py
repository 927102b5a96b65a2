"""What is expected of a study is what it then makes."""

import sqlite3
from collections import Counter
from contextlib import closing

import pytest

from backend.training.plan import Plan
from backend.training.settings import AugmentationStage, BaselineStage, InputAblationStage, PretrainingStage
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


def test_a_budget_cuts_says_so_and_holds_after_a_resume(options):
    from dataclasses import replace

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
