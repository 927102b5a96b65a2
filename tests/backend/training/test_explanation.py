"""A network that has learned planted defects looks at them, in the sensor and view that show them."""

import json

import numpy as np
import pytest

from backend.config import AugmentConfig, DataConfig, ModelConfig, OptimConfig, RunConfig
from backend.data.cache import open_cache
from backend.data.manifest import read_dataset
from backend.data.splits import outer_folds
from backend.data.synth.planted import make_planted
from backend.explain.choose import found
from backend.training.execute import execute
from backend.training.explanation import ExplainTask
from backend.training.task import FoldTask, WorkerContext

PLANTED = {"dark": "nir", "orange": "rgb:2"}


@pytest.fixture(scope="module")
def explained(tmp_path_factory):
    """Predictions and explanations of the test fruit of one fold: (predictions, attributions, numbers)."""
    out = tmp_path_factory.mktemp("planted")
    make_planted(out / "set", 168, seed=4, spec=PLANTED, size=48, progress=False)
    dataset = read_dataset(out / "set", cache_dir=out / "cache")
    cache = open_cache(dataset, 48, out / "cache", progress=False)
    context = WorkerContext(dataset, cache, outer_folds(dataset.labels, dataset.groups, 3, 0), "cpu")
    config = RunConfig(
        model=ModelConfig(modalities=("rgb", "nir"), view_pooling="max"),
        augment=AugmentConfig(policy="custom", operations=("horizontal_flip", "vertical_flip")),
        optim=OptimConfig(epochs=28, batch_size=16, learning_rate=4e-3, imbalance="none", patience=0),
        data=DataConfig(resolution=48, folds=3),
    )
    trained = execute(FoldTask("run", config, 0, 0), context)
    weights = next(file.data for file in trained.artifacts if file.name.endswith(".safetensors"))
    predictions = trained.predictions
    assert ((predictions.y_pred == predictions.y_true).mean(axis=0) > 0.85).all()
    called = tuple(found(predictions))
    task = ExplainTask("run", config, 0, 0, weights=weights, shown=called, judged=called, probed=called[:8])
    bundle = execute(task, context)
    numbers = next(file.data for file in bundle.artifacts if file.name.endswith("explanations.json"))
    return predictions, bundle.attributions, json.loads(numbers)


@pytest.mark.slow
@pytest.mark.parametrize("defect", list(PLANTED))
def test_the_hottest_point_lies_on_the_planted_defect(explained, defect):
    values = list(explained[2]["values"]["localisation_pointing"][defect].values())
    assert len(values) >= 8
    assert np.mean(values) >= 0.8


@pytest.mark.slow
def test_the_evidence_lies_in_the_sensor_and_view_that_show_the_defect(explained):
    truth = dict(zip(explained[0].fruit_ids, explained[0].y_true, strict=True))
    share = {defect: [] for defect in PLANTED}
    for item in explained[1]:
        column = list(PLANTED).index(item.defect)
        if truth[item.fruit_id][column] == 1 and item.scores["share"] > 0.5:
            share[item.defect].append((item.modality, item.view))
    assert np.mean([modality == "nir" for modality, _ in share["dark"]]) >= 0.8
    assert np.mean([place == ("rgb", "2") for place in share["orange"]]) >= 0.8


@pytest.mark.slow
def test_maps_are_faithful_to_what_the_network_has_learned(explained):
    values = explained[2]["values"]
    for defect in PLANTED:
        deletion, insertion, sanity = (
            np.mean(list(values[name][defect].values()))
            for name in ("deletion_auc", "insertion_auc", "sanity_correlation")
        )
        assert deletion < insertion
        assert sanity < 0.7
