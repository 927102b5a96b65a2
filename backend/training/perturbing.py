"""What a trained model loses when an input is taken from it, without training it again.

An input is either masked (the network knows missing views and readings, so it is told that they are missing)
or exchanged between fruit (permutation importance: Breiman 2001, "Random forests", section 10), which keeps
the values plausible. Features are encoded once; every change is made to them, so that a change costs a fusion
and a head, not another pass through the backbone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.config import PRESSURE, derive_seed
from backend.data.dataset import MULTICLASS
from backend.evaluation.thresholds import apply_thresholds, one_hot_best
from backend.models.batch import FruitBatch
from backend.models.network import FruitNetwork
from backend.store.bundle import Predictions
from backend.training.checkpoint import load_network
from backend.training.driver import Driver, RunResult
from backend.training.feed import FruitFeed
from backend.training.losses import probabilities
from backend.training.optim import prepare_worker

_BATCH_IMAGES = 512


@dataclass(frozen=True)
class Change:
    """What is done to the inputs of every test fruit.

    Attributes:
        metric: name under which the MCC afterwards is stored.
        sensor: whose input is changed.
        view: number of the only view that is masked; None = the whole sensor.
        repeat: number of the permutation; None = masked, not permuted.
    """

    metric: str
    sensor: str
    view: int | None = None
    repeat: int | None = None


def list_changes(
    modalities: tuple[str, ...], views: dict[str, tuple[str, ...]], repeats: int
) -> list[Change]:
    """Every change worth making: of sensors where there are several, of views where a sensor has several.

    Args:
        modalities: sensors of the model.
        views: image sensor to its view names.
        repeats: permutations of each sensor.
    """
    changes = []
    if len(modalities) > 1:
        for sensor in modalities:
            changes.append(Change(f"mcc_without:{sensor}", sensor))
            changes += [Change(f"mcc_permuted:{sensor}", sensor, repeat=n) for n in range(repeats)]
    for sensor in modalities:
        names = views.get(sensor, ())
        if len(names) > 1:
            changes += [
                Change(f"mcc_without_view:{sensor}:{name}", sensor, view=n) for n, name in enumerate(names)
            ]
    return changes


def predictions_after(driver: Driver, run: RunResult, changes: list[Change]) -> dict[Change, Predictions]:
    """The pooled predictions of a run after each change, from the checkpoints of its folds.

    Args:
        driver: of the study that made the run.
        run: complete, fused late (an early fusion has no sensor of its own to take away).
        changes: see ``list_changes``.
    """
    prepare_worker(run.config.threads)
    parts: dict[Change, list[Predictions]] = {change: [] for change in changes}
    for fold in driver.outer_folds:
        model = _FoldModel(driver, run, fold)
        for change in changes:
            parts[change].append(model.predict(change))
    return {change: Predictions.concatenate(found) for change, found in parts.items()}


class _FoldModel:
    """The model of one fold and the encoded inputs of its test fruit."""

    def __init__(self, driver: Driver, run: RunResult, fold: int) -> None:
        context, store = driver.context, driver.store
        self.dataset, self.seed = context.dataset, derive_seed(driver.study_seed, run.run_id, fold)
        self.rows: NDArray[np.int64] = np.flatnonzero(context.folds == fold)
        feed = FruitFeed(context.dataset, context.cache, run.config.model.modalities, context.device)
        weights = store.require_artifact(run.run_id, f"fold{fold}/model.safetensors")
        card = json.loads(store.require_artifact(run.run_id, f"fold{fold}/model.json"))
        self.thresholds = np.array(card["thresholds"], dtype=np.float64)
        model = load_network(run.config.model, feed.spec, weights)
        self.model: FruitNetwork = model.to(context.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.features, self.readings = self._encode(feed)

    @torch.inference_mode()
    def _encode(self, feed: FruitFeed) -> tuple[dict[str, tuple[Tensor, Tensor]], FruitBatch]:
        """Features (n, V, F) and presence (n, V) of each sensor, and a batch of all readings, no images."""
        views = max(sum(feed.spec.views.values()), 1)
        features: dict[str, list[tuple[Tensor, Tensor]]] = {}
        batches = []
        for batch in feed.batches(self.rows, max(1, _BATCH_IMAGES // views)):
            for name, value in self.model.view_features(batch).items():
                features.setdefault(name, []).append(value)
            batches.append(replace(batch, images={}, present={}))
        joined = {name: _joined(values) for name, values in features.items()}
        names = ("pressure", "pressure_present", "labels", "index")
        readings = {name: torch.cat([getattr(batch, name) for batch in batches]) for name in names}
        return joined, FruitBatch(images={}, present={}, **readings)

    @torch.inference_mode()
    def predict(self, change: Change) -> Predictions:
        """Scores and decisions of the test fruit after a change, at the thresholds of training."""
        features, readings = self.features, self.readings
        if change.sensor == PRESSURE:
            values, known = self._changed(change, readings.pressure, readings.pressure_present)
            readings = replace(readings, pressure=values, pressure_present=known)
        else:
            features = {**features, change.sensor: self._changed(change, *features[change.sensor])}
        logits = self.model.classify(features, readings).float()
        score = probabilities(logits, self.dataset.task).cpu().numpy()
        multiclass = self.dataset.task == MULTICLASS
        return Predictions(
            fruit_ids=tuple(self.dataset.fruit_ids[row] for row in self.rows),
            defects=self.dataset.defect_names,
            y_true=self.dataset.labels[self.rows],
            score=score,
            y_pred=one_hot_best(score) if multiclass else apply_thresholds(score, self.thresholds),
        )

    def _changed(self, change: Change, values: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        if change.repeat is not None:
            rng = np.random.default_rng(derive_seed(self.seed, change.sensor, change.repeat))
            order = torch.from_numpy(rng.permutation(len(self.rows))).to(values.device)
            return values[order], present[order]
        known = present.clone()
        known[:, slice(None) if change.view is None else change.view] = False
        return values, known


def _joined(values: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    features, present = zip(*values, strict=True)
    return torch.cat(features), torch.cat(present)
