from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from backend.errors import ConfigError
from backend.training.plan import Plan, load_plan, plan_names
from backend.training.prepare import LATER, study_row
from backend.training.settings import BaselineStage, PretrainingStage


@pytest.mark.parametrize("name", plan_names())
def test_every_plan_that_ships_is_valid_and_described(name: str) -> None:
    plan = load_plan(name)
    assert plan.name == name
    assert plan.description


def test_an_unknown_plan_lists_the_valid_ones() -> None:
    with pytest.raises(ConfigError, match=r"'fast'.*overnight, quick"):
        load_plan("fast")


def test_a_plan_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("folds = 3\n[baseline]\ntrials = 2\n")
    plan = load_plan(str(path))
    assert (plan.name, plan.folds, plan.baseline.trials) == ("mine", 3, 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("folds = 1", r"plan\.folds"),
        ("fold = 3", r"unknown field 'fold'.*folds"),
        ("[baseline]\ntrials = 0", r"baseline.trials"),
        ("[baseline]\nbackbones = []", r"backbones"),
        ("seeds = []", r"plan.seeds.*at least one"),
        ("seeds = [0, 1, 0]", r"plan.seeds.*\[0, 1, 0\].*each once"),
        ("[input_ablation]\nseeds = [2, 2]", r"input_ablation.seeds.*each once"),
        ("folds = 'three'", r"mine.toml.folds"),
        ("folds =", r"mine.toml"),
        ("threads = 0", r"threads"),
    ],
)
def test_a_broken_plan_says_where(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        load_plan(str(path))
    with pytest.raises(ConfigError, match="no such file"):
        load_plan(str(tmp_path / "missing.toml"))


def test_narrowing_leaves_the_rest_alone() -> None:
    plan = Plan()
    assert plan.narrowed() == plan
    assert plan.narrowed(trials=3).baseline.trials == 3


@pytest.mark.parametrize(("images", "resolution"), [(1, 64), (4, 64), (8, 48), (16, 32), (400, 32)])
def test_many_pictures_of_a_fruit_are_taken_smaller(images, resolution):
    plan = Plan(resolution=64, pixels=20_000)
    assert plan.fitted(images, 100).resolution == resolution
    assert Plan(resolution=64).fitted(images, 100).resolution == 64


def test_no_plan_is_made_larger_than_it_asks_for() -> None:
    assert Plan(resolution=16, pixels=100).fitted(8, 100).resolution == 16


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("resolution = 0", r"plan\.resolution.*8 to 1024"),
        ("seeds = [-1]", r"plan\.seeds.*0 or more"),
        ("folds = 2\n[baseline]\ntune_folds = 3", r"baseline\.tune_folds.*2 folds"),
        ("[baseline]\ntrials = 100000000000000000000", r"baseline\.trials.*4,294,967,295"),
        ("[input_ablation]\nseeds = [0, 0]", r"input_ablation\.seeds.*each once"),
        ("[pretraining]\nfractions = [0.1, 0.10]", r"pretraining\.fractions.*each once"),
        ("[pretraining_sets]\nfractions = [1.0, 1.0]", r"pretraining_sets\.fractions.*each once"),
        (
            "[pretraining]\npolicy = 'simclr'\noperations = ['rotation']",
            r"pretraining\.policy.*no policy beside operations",
        ),
    ],
)
def test_numbers_that_make_no_plan_are_refused(tmp_path, text, words) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(ConfigError, match=words):
        load_plan(str(tmp_path / "mine.toml"))


def test_many_fruit_are_seen_less_often_by_every_stage() -> None:
    plan = Plan(folds=3, images=24_000, baseline=BaselineStage(epochs=24, tune_epochs=6, patience=0))
    assert plan.fitted(8, 100) == plan, "24 epochs of 67 fruit are few enough"
    fitted = plan.fitted(8, 375)
    assert (fitted.baseline.epochs, fitted.baseline.tune_epochs, fitted.baseline.patience) == (12, 3, 0)
    assert fitted.pretraining.epochs == plan.pretraining.epochs // 2
    assert fitted.baseline.min_steps == plan.baseline.min_steps
    assert plan.fitted(8, 10**6).baseline.epochs == 1
    assert replace(plan, images=0).fitted(8, 10**6).baseline.epochs == 24


def test_settings_that_came_later_leave_the_ids_of_studies_alone() -> None:
    dataset = SimpleNamespace(dataset_id="d", name="d", fruit_ids=())
    before, after = (
        study_row(plan, dataset, np.array([]), 0, ("rgb",))
        for plan in (Plan(), Plan(pretraining=PretrainingStage(policy="simclr")))
    )
    assert not {*LATER} & {*before.plan["plan"]["pretraining"]}
    assert after.plan["plan"]["pretraining"]["policy"] == "simclr" and after.study_id != before.study_id
