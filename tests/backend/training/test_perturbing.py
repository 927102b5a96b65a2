"""Inputs taken from a trained model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.config import PRESSURE
from backend.models.batch import FruitBatch
from backend.models.network import FruitNetwork
from backend.store.rows import COMPLETE, StudyRow
from backend.store.writer import RunStore
from backend.training.driver import Driver
from backend.training.executor import InProcessExecutor
from backend.training.feed import FruitFeed
from backend.training.perturbing import Change, list_changes, predictions_after
from backend.training.progress import StudyProgress

VIEWS = {"rgb": ("1", "2"), "nir": ("1",)}


@pytest.fixture(scope="module")
def trained(multilabel_context, tmp_path_factory):
    """A driver and a complete run of one epoch on all sensors."""
    from backend.config import AugmentConfig, DataConfig, ModelConfig, OptimConfig, RunConfig

    dataset = multilabel_context.dataset
    pairs = zip(dataset.fruit_ids, multilabel_context.folds, strict=True)
    folds = {name: int(fold) for name, fold in pairs if fold >= 0}
    path: Path = tmp_path_factory.mktemp("perturbing") / "store.db"
    with RunStore(path) as store:
        store.add_dataset(dataset, [])
        store.start_study(StudyRow("s", "s", {}, dataset.dataset_id, "mcc", folds))
        driver = Driver(
            store,
            InProcessExecutor(multilabel_context),
            multilabel_context,
            "s",
            0,
            StudyProgress(quiet=True),
        )
        config = RunConfig(
            model=ModelConfig(modalities=("rgb", "nir", PRESSURE), view_pooling="apart"),
            augment=AugmentConfig(policy="none"),
            optim=OptimConfig(epochs=2, batch_size=8, learning_rate=3e-3, imbalance="none"),
            data=DataConfig(resolution=16, folds=2),
        )
        (run,) = driver.run([config])
        assert run.status == COMPLETE
        yield driver, run


def test_changes_are_those_that_leave_something():
    names = [change.metric for change in list_changes(("rgb", "nir", PRESSURE), VIEWS, repeats=2)]
    assert names.count("mcc_permuted:nir") == 2
    assert set(names) == {
        *(f"mcc_{how}:{name}" for how in ("without", "permuted") for name in ("rgb", "nir", PRESSURE)),
        "mcc_without_view:rgb:1",
        "mcc_without_view:rgb:2",
    }
    assert list_changes(("nir",), VIEWS, repeats=2) == []
    assert [change.view for change in list_changes(("rgb",), VIEWS, repeats=2)] == [0, 1]


def masked(batch: FruitBatch, change: Change) -> FruitBatch:
    """What the network is given where an input is missing."""
    if change.sensor == PRESSURE:
        return replace(batch, pressure_present=torch.zeros_like(batch.pressure_present))
    present = batch.present[change.sensor].clone()
    present[:, slice(None) if change.view is None else change.view] = False
    return replace(batch, present={**batch.present, change.sensor: present})


@pytest.mark.parametrize(
    "change", [Change("m", "nir"), Change("m", PRESSURE), Change("m", "rgb"), Change("m", "rgb", view=1)]
)
def test_masking_is_the_network_on_fruit_without_that_input(trained, change):
    driver, run = trained
    found = predictions_after(driver, run, [change])[change]
    context = driver.context
    row_of = {name: row for row, name in enumerate(context.dataset.fruit_ids)}
    for fold in driver.outer_folds:
        feed = FruitFeed(context.dataset, context.cache, run.config.model.modalities, "cpu")
        model = FruitNetwork(run.config.model, feed.spec)
        from backend.training.checkpoint import unpack_weights

        path = driver.store.artifact_path(run.run_id, f"fold{fold}/model.safetensors")
        model.load_state_dict(unpack_weights(path.read_bytes()))
        rows = np.flatnonzero(context.folds == fold)
        with torch.inference_mode():
            expected = torch.sigmoid(model.eval()(masked(feed.batch(rows), change))).numpy()
        place = [i for i, name in enumerate(found.fruit_ids) if context.folds[row_of[name]] == fold]
        np.testing.assert_allclose(found.score[place], expected, atol=1e-5)


def test_every_fruit_is_judged_once_and_the_truth_is_the_runs(trained):
    driver, run = trained
    change = Change("m", "nir", repeat=0)
    found = predictions_after(driver, run, [change])[change]
    own = driver.store.load_predictions(run.run_id)
    assert sorted(found.fruit_ids) == sorted(own.fruit_ids)
    order = [found.fruit_ids.index(name) for name in own.fruit_ids]
    np.testing.assert_array_equal(found.y_true[order], own.y_true)


def test_permutations_differ_from_each_other_and_repeat_themselves(trained):
    driver, run = trained
    changes = [Change("m", "nir", repeat=n) for n in range(2)]
    first, again = (predictions_after(driver, run, changes) for _ in range(2))
    np.testing.assert_array_equal(first[changes[0]].score, again[changes[0]].score)
    assert not np.array_equal(first[changes[0]].score, first[changes[1]].score)


def test_exchanging_an_input_keeps_every_value(trained):
    """The sensor's readings are the same ones, so a sensor that is alike for all fruit changes nothing."""
    driver, run = trained
    from backend.training import perturbing

    model = perturbing._FoldModel(driver, run, 0)
    values, present = model.features["nir"]
    moved, known = model._changed(Change("m", "nir", repeat=3), values, present)
    assert sorted(moved.sum(dim=(1, 2)).tolist()) == pytest.approx(sorted(values.sum(dim=(1, 2)).tolist()))
    assert known.sum() == present.sum()
