"""Train one fold of a classifier, with early stopping on inner validation, and predict its test fruit.

The order of events is the honest one: fit on the inner training part; after each epoch score the inner
validation part; keep the weights of the best epoch; choose a threshold for each defect on inner
validation; only then look at the test part, once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from backend.augment.pipeline import Augmenter
from backend.config import derive_seed, to_dict
from backend.data.dataset import MULTICLASS, FruitDataset
from backend.evaluation.bootstrap import group_weights
from backend.evaluation.counts import COUNT_METRICS, Counts, group_counts, mean_defined, multiclass_mcc
from backend.evaluation.metrics import summarise
from backend.evaluation.thresholds import apply_thresholds, choose_threshold, decide, one_hot_best
from backend.models.batch import FruitBatch
from backend.models.network import FruitNetwork
from backend.store.bundle import ArtifactData, CurvePoint, FoldBundle, MetricValue, Predictions
from backend.training.checkpoint import load_encoders, pack_weights
from backend.training.feed import FruitFeed, StepOrder, sampling_weights
from backend.training.losses import ClassificationLoss, probabilities
from backend.training.optim import cosine_schedule, make_fabric, make_optimizer, require_finite
from backend.training.task import FoldParts, FoldTask, Pruned, WorkerContext, fold_parts

_EVALUATION_IMAGES = 512
"""Images in one evaluation batch: large enough to be fast, small enough for any machine."""
_INNER_RESAMPLES = 200
"""Enough for a standard error that is only compared with a difference."""


def train_fold(task: FoldTask, context: WorkerContext) -> FoldBundle:
    """Train and test one fold of a baseline or a fine-tune.

    Args:
        task: which run, which fold.
        context: the data.

    Returns:
        Its bundle. Without predictions for tuning runs, which never see their test fruit.

    Raises:
        TrainingError: the loss diverged.
    """
    started = time.perf_counter()
    parts = fold_parts(context, task.config, task.fold)
    batch_size = task.config.optim.batch_size
    while True:
        try:
            fold = FoldTraining(task, context, parts, batch_size)
            pruned = fold.fit()
            break
        except torch.OutOfMemoryError:
            if batch_size <= 2:
                raise
            batch_size //= 2
            torch.cuda.empty_cache()
    notes = fold.notes()
    if batch_size != task.config.optim.batch_size:
        notes = (*notes, ("batch_size", f"{batch_size} (halved: the device ran out of memory)"))
    metrics: tuple[MetricValue, ...] = (
        MetricValue("inner_mcc", fold.best_score),
        MetricValue("inner_mcc_error", fold.best_error),
    )
    predictions: Predictions | None = None
    artifacts: tuple[ArtifactData, ...] = ()
    if not pruned and task.config.purpose != "tune":
        predictions = fold.predict(parts.test)
        metrics += tuple(fold_metrics(predictions, context.dataset))
        artifacts = fold.artifacts()
    return FoldBundle(
        fold=task.fold,
        seconds=time.perf_counter() - started,
        predictions=predictions,
        metrics=metrics,
        curves=tuple(fold.curves),
        artifacts=artifacts,
        notes=notes,
        pruned=pruned,
    )


def fold_metrics(predictions: Predictions, dataset: FruitDataset) -> list[MetricValue]:
    """Every metric of one fold's test fruit, without intervals."""
    return summarise(
        predictions,
        task=dataset.task,
        healthy=dataset.healthy,
        kinds={defect.name: defect.kind for defect in dataset.defects},
    )


def inner_mcc(labels: NDArray[np.float32], score: NDArray[np.float32], task: str) -> float:
    """The MCC that choices are made by.

    Args:
        labels: (n, D) of inner validation.
        score: (n, D) probabilities.
        task: ``multiclass`` = MCC of the likeliest class; ``multilabel`` = mean over the defects that are
            defined here.

    Returns:
        The MCC; 0 where nothing is defined. A defect's threshold is chosen on one half of the fruit and
        judged on the other, and the other way round: with a handful of positives the best threshold on the
        same fruit finds an MCC of 0.3 in pure noise, and epochs would be chosen by luck.
    """
    counts = group_counts(labels, _inner_decisions(labels, score, task), np.zeros(len(labels), np.intp), 1)
    return float(np.nan_to_num(_mcc_of(counts, task)[0]))


def inner_mcc_error(labels: NDArray[np.float32], score: NDArray[np.float32], task: str) -> float:
    """The standard error of ``inner_mcc`` over draws of fruit, by bootstrap; arguments as there."""
    fruit = len(labels)
    counts = group_counts(labels, _inner_decisions(labels, score, task), np.arange(fruit), fruit)
    drawn = np.concatenate(list(group_weights(fruit, _INNER_RESAMPLES, seed=0, rows=_INNER_RESAMPLES)))
    values = _mcc_of(np.tensordot(drawn, counts, axes=1), task)
    return float(np.std(np.nan_to_num(values), ddof=1))


def _mcc_of(counts: Counts, task: str) -> NDArray[np.float64]:
    """(..., D, 4) counts to (...) MCC."""
    return multiclass_mcc(counts) if task == MULTICLASS else mean_defined(COUNT_METRICS["mcc"](counts))


def _inner_decisions(labels: NDArray[np.float32], score: NDArray[np.float32], task: str) -> NDArray[np.uint8]:
    if task == MULTICLASS:
        return one_hot_best(score)
    return np.column_stack([_cross_decided(labels[:, j], score[:, j]) for j in range(labels.shape[1])])


def _cross_decided(labels: NDArray[np.float32], score: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Decisions on one defect, each half of the fruit by the threshold of the other, stratified."""
    half = np.zeros(len(labels), dtype=bool)
    for value in (0, 1):
        half[np.flatnonzero(labels == value)[1::2]] = True
    decided = np.zeros(len(labels), dtype=np.uint8)
    for part in (half, ~half):
        decided[part] = score[part] >= choose_threshold(labels[~part], score[~part])
    return decided


def build_network(task: FoldTask, feed: FruitFeed, fit: NDArray[np.int64]) -> FruitNetwork:
    """The network of a fold before its first step; what it knows of the data comes from ``fit``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(task.seed, "weights"))
        model = FruitNetwork(task.config.model, feed.spec)
    statistics = feed.cache.channel_statistics(fit)
    model.set_statistics(
        {name: (torch.from_numpy(mean), torch.from_numpy(std)) for name, (mean, std) in statistics.items()}
    )
    if model.pressure is not None:
        readings = feed.dataset.pressures[fit]
        mean, std = nan_statistics(readings)
        model.pressure.normalise.set_statistics(torch.from_numpy(mean), torch.from_numpy(std))
    if task.weights is not None:
        load_encoders(model, task.weights)
    if feed.dataset.task != MULTICLASS and task.config.optim.imbalance == "none":
        _start_at_prevalence(model, feed.dataset.labels[fit])
    return model


def _start_at_prevalence(model: FruitNetwork, labels: NDArray[np.float32]) -> None:
    """Let the head say at first how common each defect is (Lin et al. 2017, section 3.3)."""
    known = np.maximum((~np.isnan(labels)).sum(axis=0), 1)
    rate = np.clip(np.nansum(labels, axis=0) / known, 0.01, 0.99)
    with torch.no_grad():
        model.head.bias.copy_(torch.from_numpy(np.log(rate / (1 - rate)).astype(np.float32)))


def nan_statistics(readings: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation of (n, P) readings, missing ones left out; 0 and 1 where all are."""
    known = ~np.isnan(readings)
    count = np.maximum(known.sum(axis=0), 1)
    filled = np.where(known, readings, 0)
    mean = filled.sum(axis=0) / count
    std = np.sqrt((np.where(known, readings - mean, 0) ** 2).sum(axis=0) / count)
    return mean.astype(np.float32), np.where(std > 0, std, 1).astype(np.float32)


class FoldTraining:
    """The state of one fold: the model while it learns, then its thresholds and predictions.

    Args:
        task: which run, which fold.
        context: the data.
        parts: the rows it may use.
        batch_size: fruit a step.
    """

    def __init__(self, task: FoldTask, context: WorkerContext, parts: FoldParts, batch_size: int) -> None:
        self.task, self.context, self.parts = task, context, parts
        config = task.config
        dataset = context.dataset
        self.feed = FruitFeed(dataset, context.cache, config.model.modalities, context.device)
        self.fabric = make_fabric(context.device)
        self.model = build_network(task, self.feed, parts.fit).to(memory_format=torch.channels_last)
        optimizer = make_optimizer(
            self.model.named_parameters(),
            learning_rate=config.optim.learning_rate,
            weight_decay=config.optim.weight_decay,
            backbone_rate=config.optim.backbone_rate,
        )
        self.network, self.optimizer = self.fabric.setup(self.model, optimizer)
        labels = dataset.labels[parts.fit]
        self.loss = ClassificationLoss(dataset.task, config.optim.imbalance, labels).to(self.feed.device)
        weights = sampling_weights(labels) if config.optim.imbalance == "sampler" else None
        self.order = StepOrder(parts.fit, batch_size, derive_seed(task.seed, "order"), weights)
        # What is judged and kept is an average of the weights over about one epoch (Polyak and Juditsky
        # 1992): with few validation fruit the best epoch is a matter of luck, its average less so.
        decay = 1 - 1 / max(self.order.steps_per_epoch, 2)
        self.average = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
        self.augment = Augmenter(config.augment, config.data.resolution)
        self.generator = torch.Generator(device=self.feed.device)
        self.generator.manual_seed(derive_seed(task.seed, "augment"))
        self.curves: list[CurvePoint] = []
        self.best_score, self.best_epoch, self.best_error = -np.inf, 0, 0.0
        self.thresholds: NDArray[np.float64] = np.full(len(dataset.defects), 0.5)

    def fit(self) -> str:
        """Train to the end, to patience or until pruned; returns why it was pruned, else an empty string."""
        optim = self.task.config.optim
        torch.manual_seed(derive_seed(self.task.seed, "dropout"))
        total = max(optim.epochs * self.order.steps_per_epoch, optim.min_steps)
        schedule = cosine_schedule(self.optimizer, total, optim.warmup)
        marks = np.linspace(0, total, optim.epochs + 1).round().astype(int)
        steps = self.order.steps(total)
        best_state: dict[str, Tensor] = {}
        for epoch in range(1, optim.epochs + 1):
            losses = [self.step(next(steps), schedule.step) for _ in range(marks[epoch] - marks[epoch - 1])]
            loss = float(torch.stack(losses).mean()) if losses else 0.0
            require_finite(loss, epoch)
            score = self.validate()
            self.curves += [
                CurvePoint(epoch, "train", "loss", loss),
                CurvePoint(epoch, "validation", "mcc", score),
            ]
            if score > self.best_score:
                self.best_score, self.best_epoch = score, epoch
                best_state = {name: value.clone() for name, value in self.average.module.state_dict().items()}
            try:
                self.task.require_floor(epoch, self.best_score)
            except Pruned as decision:
                return str(decision)
            if optim.patience and epoch - self.best_epoch >= optim.patience:
                break
        self.average.module.load_state_dict(best_state)
        self._choose_thresholds()
        return ""

    def step(self, index: NDArray[np.int64], advance: Callable[[], None]) -> Tensor:
        """One optimisation step on the fruit at ``index``; returns the loss."""
        self.model.train()
        batch = self._augmented(self.feed.batch(index))
        loss: Tensor = self.loss(self.network(batch), batch.labels)
        self.optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        self.optimizer.step()
        self.average.update_parameters(self.model)
        advance()
        return loss.detach()

    def _augmented(self, batch: FruitBatch) -> FruitBatch:
        """Every view with a geometry of its own; sensors that are registered share it."""
        if not batch.images:
            return batch
        images = augment_views(self.augment, batch.images, self.generator)
        return FruitBatch(
            images, batch.present, batch.pressure, batch.pressure_present, batch.labels, batch.index
        )

    @torch.inference_mode()
    def scores(self, index: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n, D) probabilities of the fruit at ``index``."""
        judged = self.average.module.eval()
        views = sum(self.feed.spec.views.values())
        parts = []
        for batch in self.feed.batches(index, max(1, _EVALUATION_IMAGES // max(views, 1))):
            parts.append(probabilities(judged(batch).float(), self.context.dataset.task).cpu())
        return torch.cat(parts).numpy()

    def validate(self) -> float:
        """Inner-validation MCC of the model as it is, each defect at its best threshold."""
        labels = self.context.dataset.labels[self.parts.validation]
        return inner_mcc(labels, self.scores(self.parts.validation), self.context.dataset.task)

    def _choose_thresholds(self) -> None:
        labels = self.context.dataset.labels[self.parts.validation]
        score = self.scores(self.parts.validation)
        self.best_error = inner_mcc_error(labels, score, self.context.dataset.task)
        _, self.thresholds = decide(labels, score, score, self.context.dataset.task)

    def predict(self, index: NDArray[np.int64]) -> Predictions:
        """Scores and decisions for the fruit at ``index``."""
        dataset = self.context.dataset
        score = self.scores(index)
        if dataset.task == MULTICLASS:
            decided = one_hot_best(score)
        else:
            decided = apply_thresholds(score, self.thresholds)
        return Predictions(
            fruit_ids=tuple(dataset.fruit_ids[row] for row in index),
            defects=dataset.defect_names,
            y_true=dataset.labels[index],
            score=score,
            y_pred=decided,
        )

    def notes(self) -> tuple[tuple[str, str], ...]:
        """What is worth knowing about the fold beside its numbers."""
        facts = (
            ("best_epoch", str(self.best_epoch)),
            ("fit_fruit", str(len(self.parts.fit))),
            ("validation_fruit", str(len(self.parts.validation))),
        )
        if self.context.dataset.task == MULTICLASS:
            return facts
        named = zip(self.context.dataset.defect_names, self.thresholds.tolist(), strict=True)
        return (*facts, ("thresholds", json.dumps({name: round(value, 6) for name, value in named})))

    def artifacts(self) -> tuple[ArtifactData, ...]:
        """The weights, and beside them what is needed to use them."""
        dataset, fold = self.context.dataset, self.task.fold
        card = {
            "config": to_dict(self.task.config),
            "defects": list(dataset.defect_names),
            "task": dataset.task,
            "thresholds": self.thresholds.tolist(),
            "spec": vars(self.feed.spec),
            "dataset_id": dataset.dataset_id,
            "fold": fold,
        }
        return (
            ArtifactData(
                f"fold{fold}/model.safetensors", "checkpoint", pack_weights(self.average.module.state_dict())
            ),
            ArtifactData(f"fold{fold}/model.json", "config", json.dumps(card, indent=2).encode()),
        )


def augment_views(
    augment: Augmenter, images: dict[str, Tensor], generator: torch.Generator
) -> dict[str, Tensor]:
    """Augment (B, V, C, H, W) images of registered sensors, each view with a draw of its own.

    Sensors with the same views share the geometry; one with other views gets draws of its own.
    """
    result: dict[str, Tensor] = {}
    by_views: dict[int, list[str]] = {}
    for name, value in images.items():
        by_views.setdefault(value.shape[1], []).append(name)
    for views, names in by_views.items():
        flat = {name: images[name].flatten(0, 1) for name in names}
        for name, value in augment(flat, generator, groups_of=views).items():
            result[name] = value.unflatten(0, images[name].shape[:2])
    return {name: result[name] for name in images}
