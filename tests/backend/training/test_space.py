"""One model shows every fruit, whatever kind of run it belongs to, and neighbours are exact."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backend.errors import ConfigError, StoreError, TrainingError
from backend.store.writer import RunStore
from backend.training import space
from backend.training.driver import Driver
from backend.training.executor import InProcessExecutor
from backend.training.plan import Plan
from backend.training.progress import StudyProgress
from backend.training.settings import BaselineStage, PretrainingStage
from backend.training.space import FeatureSpace, feature_space, find_neighbours
from backend.training.study import StudyOptions, prepare_study, run_study

pytestmark = pytest.mark.usefixtures("tiny_backbone")

PLAN = Plan(
    name="tiny-space",
    folds=2,
    resolution=16,
    baseline=BaselineStage(trials=1, generation=1, tune_epochs=1, epochs=1, min_steps=0, backbones=("tiny",)),
    pretraining=PretrainingStage(
        methods=("simclr", "random_init"), epochs=1, batch_size=16, fractions=(1.0,), min_steps=4
    ),
)


@pytest.fixture(scope="module")
def driver(multilabel_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    out = tmp_path_factory.mktemp("space")
    options = StudyOptions(
        multilabel_folder, out / "store.db", out / "cache", workers=0, quiet=True, device="cpu"
    )
    run_study(PLAN, options)
    study = prepare_study(PLAN, options, 0)
    with RunStore(options.store) as store:
        executor = InProcessExecutor(study.context)
        yield Driver(store, executor, study.context, study.row.study_id, 0, StudyProgress(quiet=True))


def run_id(driver: Driver, where: str) -> str:
    with closing(sqlite3.connect(driver.store.path)) as connection:
        (row,) = connection.execute(f"SELECT run_id FROM run WHERE purpose = 'final' AND {where}").fetchall()
    return str(row[0])


def test_a_run_with_readings_shows_its_pictures(driver):
    found = feature_space(driver, run_id(driver, "kind = 'baseline'"))
    width = found.features.shape[1]
    assert (found.fold, found.rows.tolist()) == (0, list(range(72)))
    assert found.features.dtype == np.float32
    assert width % 2 == 0  # rgb and nir, no pressure
    lengths = np.linalg.norm(found.features[:, width // 2 :], axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=1e-5)  # NIR has one view: its mean is of length 1


def test_a_probe_shows_what_its_pretraining_shows(driver):
    pretrain, probe, random = (
        feature_space(driver, run_id(driver, where)).features
        for where in (
            "kind = 'pretrain'",
            "kind = 'probe' AND method = 'simclr'",
            "kind = 'probe' AND method = 'random_init'",
        )
    )
    np.testing.assert_array_equal(pretrain, probe)
    assert not np.allclose(random, probe)


def test_every_layer_can_be_shown_and_no_other(driver):
    chosen = run_id(driver, "kind = 'finetune'")
    first, last = (feature_space(driver, chosen, layer).features for layer in (0, -1))
    assert first.shape[1] < last.shape[1]
    np.testing.assert_allclose(last, feature_space(driver, chosen).features, rtol=1e-5, atol=1e-6)
    with pytest.raises(ConfigError, match="layer 12"):
        feature_space(driver, chosen, 12)


def test_runs_that_cannot_be_shown_say_why(driver, monkeypatch):
    with pytest.raises(StoreError, match="unknown run 'nobody'"):
        feature_space(driver, "nobody")
    chosen = run_id(driver, "kind = 'baseline'")
    config = space.run_config(driver, chosen)
    blind = replace(config, model=replace(config.model, modalities=("pressure",)))
    monkeypatch.setattr(space, "run_config", lambda *_: blind)
    with pytest.raises(TrainingError, match="without pictures has no feature space"):
        feature_space(driver, chosen)


@pytest.mark.parametrize("block", [5, 4096])
def test_neighbours_are_exact_and_twins_find_each_other(driver, monkeypatch, block):
    monkeypatch.setattr(space, "_FRUIT_AT_ONCE", block)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(30, 6)).astype(np.float32)
    features[20:24] = features[3]  # five of a kind
    shown = FeatureSpace("run", 0, 1, np.arange(10, 40), features)
    names = driver.context.dataset.fruit_ids
    found = find_neighbours(shown, driver.context.dataset, 4)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -2)
    np.testing.assert_allclose(found.similarity, -np.sort(-similarity, axis=1)[:, :4], atol=1e-5)
    assert found.fruit_ids == names[10:40]
    assert all(fruit not in near for fruit, near in zip(found.fruit_ids, found.neighbours, strict=True))
    assert set(found.neighbours[3]) == {names[10 + row] for row in range(20, 24)}


def test_there_are_no_more_neighbours_than_other_fruit(driver):
    for n in (1, 3):
        shown = FeatureSpace("run", 0, 1, np.arange(n), np.eye(3, dtype=np.float32)[:n])
        found = find_neighbours(shown, driver.context.dataset, 10)
        assert [len(near) for near in found.neighbours] == [n - 1] * n
        assert found.similarity.shape == (n, n - 1)
