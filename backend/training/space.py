"""The feature space of a run: one model's view of every fruit, for maps, neighbours and outliers.

A run has a model for each outer fold, and the spaces of two models have nothing to do with each other: axes,
scale and even what is near differ by chance. A map on which every fruit is shown by the model that did not
train on it would be honest about each point and wrong about all of them together, K maps laid on top of each
other. So ONE model shows all fruit, that of the first outer fold (a fixed choice, made by no result), and
what it shows is stored with its fold: fruit of that fold are new to the model, the others helped to train it
and lie in tidier clusters than new fruit would. No number that says how good a model is comes from here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backend.config import RunConfig
from backend.data.dataset import FruitDataset
from backend.errors import StoreError, TrainingError
from backend.evaluation.features import l2_normalise, nearest
from backend.fields import from_dict
from backend.store.bundle import NeighbourData
from backend.store.queries import runs as run_queries
from backend.training.driver import Driver
from backend.training.embedding import embed_fruit
from backend.training.optim import prepare_worker
from backend.training.parents import ParentWeights
from backend.training.pretraining import WEIGHTS
from backend.training.task import FoldTask, fold_parts

CLASSIFIER = "model.safetensors"
"""Name of a classifier's weights in the folder of its fold."""

_FRUIT_AT_ONCE = 4096


@dataclass(frozen=True)
class FeatureSpace:
    """What one model sees in every fruit that has a picture.

    Attributes:
        run_id: whose model.
        fold: the outer fold that the model has not seen.
        threads: CPU threads of the run, for what is computed from the features.
        rows: (n,) rows of the data set.
        features: (n, F).
    """

    run_id: str
    fold: int
    threads: int
    rows: NDArray[np.int64]
    features: NDArray[np.float32]


def feature_space(driver: Driver, run_id: str, layer: int = -1) -> FeatureSpace:
    """The features of every fruit by the first fold's model of a run.

    Args:
        driver: of the study that made the run.
        run_id: a complete run of any kind whose checkpoints are there.
        layer: stage of the backbone to average, counted as in a list: -1 = the last.

    Raises:
        StoreError: an unknown run, or its weights are gone.
        TrainingError: a run without an image sensor.
    """
    config, fold = run_config(driver, run_id), driver.outer_folds[0]
    if not config.model.image_modalities:
        raise TrainingError(
            "a run without pictures has no feature space", where=f"run {run_id}", expected="an image sensor"
        )
    weights = _encoder_weights(driver, run_id, config, fold)
    if weights is not None:  # they replace whatever the network would start from
        config = replace(config, model=replace(config.model, init="random"))
    prepare_worker(config.threads)
    task = FoldTask(run_id, config, fold, driver.study_seed, weights=weights)
    fit = fold_parts(driver.context, config, fold).fit
    embed = embed_fruit(task, driver.context, fit, weights, layer)
    present = [driver.context.cache.present[name].any(axis=1) for name in config.model.image_modalities]
    rows: NDArray[np.int64] = np.flatnonzero(np.any(present, axis=0))
    if not len(rows):
        raise TrainingError("no fruit has a picture", where=f"run {run_id}")
    parts = []
    for start in range(0, len(rows), _FRUIT_AT_ONCE):
        parts.append(embed(rows[start : start + _FRUIT_AT_ONCE]))
        driver.store.heartbeat([], driver.study_id)
    return FeatureSpace(run_id, fold, config.threads, rows, np.concatenate(parts))


def run_config(driver: Driver, run_id: str) -> RunConfig:
    """The configuration of a run in the store.

    Raises:
        StoreError: there is no such run.
    """
    with driver.store.reading() as connection:
        run = run_queries.run(connection, run_id)
    if run is None:
        raise StoreError(f"unknown run {run_id!r}", where=str(driver.store.path))
    return from_dict(RunConfig, run["params"], f"run {run_id}")


def _encoder_weights(driver: Driver, run_id: str, config: RunConfig, fold: int) -> bytes | None:
    """Bytes that hold the encoders of a run; None for a probe of an untrained network."""
    if config.kind == "probe":
        return ParentWeights(driver)(config, fold)
    name = WEIGHTS if config.kind == "pretrain" else CLASSIFIER
    return driver.store.require_artifact(run_id, f"fold{fold}/{name}")


def find_neighbours(
    space: FeatureSpace, dataset: FruitDataset, k: int, tick: Callable[[], None] = lambda: None
) -> NeighbourData:
    """The nearest fruit of each fruit by cosine similarity, exact, in blocks.

    Args:
        space: n fruit.
        dataset: their names.
        k: neighbours; at most n - 1 are found.
        tick: called for every block, as a sign of life.
    """
    unit = l2_normalise(space.features)
    k = min(k, len(unit) - 1)
    index = np.zeros((len(unit), k), np.intp)
    distance = np.zeros((len(unit), k), np.float32)
    for start in range(0, len(unit) if k else 0, _FRUIT_AT_ONCE):
        block = np.arange(start, min(start + _FRUIT_AT_ONCE, len(unit)))
        far, near = nearest(unit[block], unit, k + 1)
        # A fruit with a twin need not come first itself: whichever entry is its own is left out.
        own = near == block[:, None]
        own[~own.any(axis=1), -1] = True
        index[block], distance[block] = near[~own].reshape(-1, k), far[~own].reshape(-1, k)
        tick()
    names = np.array([dataset.fruit_ids[row] for row in space.rows])
    return NeighbourData(
        fruit_ids=tuple(names.tolist()),
        neighbours=tuple(tuple(row) for row in names[index].tolist()),
        similarity=(1 - distance**2 / 2).astype(np.float32),  # of vectors of length 1
    )
