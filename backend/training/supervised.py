"""Train one fold of a classifier, with early stopping on inner validation, and predict its test fruit.

The order of events is the honest one: fit on the inner training part; after each epoch score the inner
validation part; keep the last epoch unless an earlier one was clearly better; choose a threshold for each
defect on inner validation; only then look at the test part, once.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from backend.augment.pipeline import Augmenter, augment_views
from backend.config import derive_seed
from backend.data.dataset import MULTICLASS, FruitDataset
from backend.evaluation.metrics import summarise
from backend.evaluation.thresholds import apply_thresholds, decide, one_hot_best
from backend.fields import to_dict
from backend.models.batch import FruitBatch
from backend.store.bundle import ArtifactData, CurvePoint, FoldBundle, MetricValue, Predictions
from backend.training.building import build_network
from backend.training.checkpoint import pack_weights
from backend.training.feed import FruitFeed, StepOrder, sampling_weights
from backend.training.inner_score import clearly_better, inner_mcc, inner_mcc_error
from backend.training.losses import ClassificationLoss, probabilities
from backend.training.optim import (
    cosine_schedule,
    make_optimizer,
    mixed_precision,
    require_finite,
    training_precision,
)
from backend.training.task import FoldParts, FoldTask, Pruned, WorkerContext, fold_parts

_EVALUATION_IMAGES = 512
"""Images in one evaluation batch: large enough to be fast, small enough for any machine."""


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
    while (trained := _train(task, context, parts, batch_size)) is None:
        batch_size //= 2
        torch.cuda.empty_cache()
    fold, pruned = trained
    notes = fold.notes()
    if batch_size != task.config.optim.batch_size:
        notes = (*notes, ("batch_size", f"{batch_size} (halved: the device ran out of memory)"))
    metrics: tuple[MetricValue, ...] = (
        MetricValue("inner_mcc", fold.kept.score),
        MetricValue("inner_mcc_error", fold.error),
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


def _train(
    task: FoldTask, context: WorkerContext, parts: FoldParts, batch_size: int
) -> tuple[FoldTraining, str] | None:
    """A trained fold and why it was pruned; None where it needs more memory than the device has.

    A function of its own, so that nothing of a failed attempt is left in memory during the next.
    """
    try:
        fold = FoldTraining(task, context, parts, batch_size)
        return fold, fold.fit()
    except torch.OutOfMemoryError:
        if batch_size <= 2:
            raise
        return None


def fold_metrics(predictions: Predictions, dataset: FruitDataset) -> list[MetricValue]:
    """Every metric of one fold's test fruit, without intervals."""
    return summarise(
        predictions,
        task=dataset.task,
        healthy=dataset.healthy,
        kinds={defect.name: defect.kind for defect in dataset.defects},
    )


@dataclass(frozen=True)
class Epoch:
    """How the model stood after an epoch.

    Attributes:
        number: epochs done, from 1.
        score: inner-validation MCC.
        weights: the state at that time; empty for the model as it is.
    """

    number: int
    score: float
    weights: dict[str, Tensor] = field(default_factory=dict)


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
        self.mixed = mixed_precision(self.feed.device.type, config.model.backbone)
        model = build_network(task, self.feed, parts.fit).to(self.feed.device)
        self.model = model.to(memory_format=torch.channels_last)
        self.optimizer = make_optimizer(
            self.model.named_parameters(),
            learning_rate=config.optim.learning_rate,
            weight_decay=config.optim.weight_decay,
            backbone_rate=config.optim.backbone_rate,
        )
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
        self.kept, self.error = Epoch(0, -np.inf), 0.0
        self.thresholds: NDArray[np.float64] = np.full(len(dataset.defects), 0.5)

    def fit(self) -> str:
        """Train to the end, to patience or until pruned; returns why it was pruned, else an empty string."""
        optim = self.task.config.optim
        torch.manual_seed(derive_seed(self.task.seed, "dropout"))
        total = max(optim.epochs * self.order.steps_per_epoch, optim.min_steps)
        schedule = cosine_schedule(self.optimizer, total, optim.warmup)
        marks = np.linspace(0, total, optim.epochs + 1).round().astype(int)
        steps = self.order.steps(total)
        best = last = Epoch(0, -np.inf)
        for epoch in range(1, optim.epochs + 1):
            losses = [self.step(next(steps), schedule.step) for _ in range(marks[epoch] - marks[epoch - 1])]
            loss = float(torch.stack(losses).mean()) if losses else 0.0
            require_finite(loss, epoch)
            last = Epoch(epoch, self.validate())
            self.curves += [
                CurvePoint(epoch, "train", "loss", loss),
                CurvePoint(epoch, "validation", "mcc", last.score),
            ]
            if last.score > best.score:
                best = Epoch(epoch, last.score, copy.deepcopy(self.average.module.state_dict()))
            try:
                self.task.require_floor(epoch, best.score)
            except Pruned as decision:
                self.kept = best
                return str(decision)
            if optim.patience and epoch - best.number >= optim.patience:
                break
        self._keep(last, best)
        return ""

    def step(self, index: NDArray[np.int64], advance: Callable[[], None]) -> Tensor:
        """One optimisation step on the fruit at ``index``; returns the loss."""
        self.model.train()
        batch = self._augmented(self.feed.batch(index))
        with self.mixed:
            logits = self.model(batch)
        loss: Tensor = self.loss(logits.float(), batch.labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
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
            parts.append(probabilities(judged(batch), self.context.dataset.task).cpu())
        return torch.cat(parts).numpy()

    def validate(self) -> float:
        """Inner-validation MCC of the model as it is, each defect at its best threshold."""
        labels = self.context.dataset.labels[self.parts.validation]
        return inner_mcc(labels, self.scores(self.parts.validation), self.context.dataset.task)

    def _keep(self, last: Epoch, best: Epoch) -> None:
        """Keep the last epoch, which had the whole schedule, unless one was clearly better; set thresholds.

        With 23 strawberries to judge, the best of 24 epochs cost .03 to .04 MCC.
        """
        labels, task = self.context.dataset.labels[self.parts.validation], self.context.dataset.task
        score = self.scores(self.parts.validation)
        self.kept, self.error = last, inner_mcc_error(labels, score, task)
        if clearly_better(best.score, last.score, self.error):
            self.average.module.load_state_dict(best.weights)
            score = self.scores(self.parts.validation)
            self.kept, self.error = best, inner_mcc_error(labels, score, task)
        _, self.thresholds = decide(labels, score, score, task)

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
            ("kept_epoch", str(self.kept.number)),
            ("fit_fruit", str(len(self.parts.fit))),
            ("validation_fruit", str(len(self.parts.validation))),
            ("precision", training_precision(self.feed.device.type, self.task.config.model.backbone)),
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
