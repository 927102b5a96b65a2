"""One fold of a pretraining run: who may be seen, train, and a cheap score on inner validation."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from backend.config import derive_seed
from backend.data.splits import without_groups_of
from backend.evaluation.features import Part
from backend.evaluation.knn import knn_scores
from backend.store.bundle import ArtifactData, CurvePoint, FoldBundle, MetricValue
from backend.training.checkpoint import ENCODERS, pack_weights
from backend.training.embedding import embed_fruit
from backend.training.inner_score import inner_mcc, inner_mcc_error
from backend.training.pretrain import pretrain
from backend.training.pretrain_loop import EpochReport, PretrainResult
from backend.training.selecting import select_pool
from backend.training.task import FoldParts, FoldTask, Pruned, WorkerContext, fold_parts

WEIGHTS = "encoders.safetensors"
"""Name of the artifact in the folder of its fold."""


def pretraining_pool(parts: FoldParts, context: WorkerContext, pool: str) -> NDArray[np.int64]:
    """Rows that pretraining may see: the unlabelled fruit, and as the pool says more.

    ``train`` adds the outer training part, without its labels; ``all`` adds the test part too, which makes
    a run transductive: for study only. Unlabelled fruit of a tested pallet stay out as well.
    """
    if pool == "all":
        return np.arange(len(context.dataset))
    rows = parts.unlabelled
    if pool == "train":
        rows = np.union1d(rows, parts.outer_train)
        return without_groups_of(rows, context.dataset.groups, parts.test)
    # One pretraining serves all folds, so no pallet that is tested in any of them may be in it.
    return without_groups_of(rows, context.dataset.groups, np.flatnonzero(context.folds >= 0))


def pretrain_fold(task: FoldTask, context: WorkerContext) -> FoldBundle:
    """Pretrain the encoders for one outer fold.

    Returns:
        Weights, curves of loss and health, and ``inner_mcc``: kNN on the frozen features of inner
        validation, the proxy that tuning maximises.

    Raises:
        ConfigError: a method that cannot work on these data.
        TrainingError: the loss diverged or the embeddings collapsed.
    """
    started = time.perf_counter()
    parts = fold_parts(context, task.config, task.fold)
    labels = np.full_like(context.dataset.labels, np.nan)
    labels[parts.fit] = context.dataset.labels[parts.fit]
    watch = _Watch(task, context, parts)
    pruned = ""
    result = PretrainResult(b"", (), ())
    try:
        result = pretrain(
            task.config,
            context.dataset,
            context.cache,
            _selected(task, context, parts),
            seed=task.seed,
            device=context.device,
            labels=labels,
            checkpoint=context.checkpoint(task.run_id, task.fold),
            on_epoch=watch.after_epoch if task.config.purpose == "tune" else None,
        )
    except Pruned as decision:
        pruned = str(decision)
    score = watch.scores[-1] if watch.scores else watch.score(result.weights)
    artifacts: tuple[ArtifactData, ...] = ()
    if task.config.purpose != "tune":
        artifacts = (ArtifactData(f"fold{task.fold}/{WEIGHTS}", "encoders", result.weights),)
    return FoldBundle(
        fold=task.fold,
        seconds=time.perf_counter() - started + result.seconds_before,
        metrics=(MetricValue("inner_mcc", score), MetricValue("inner_mcc_error", watch.error)),
        curves=result.curves or watch.curves,
        artifacts=artifacts,
        notes=result.notes,
        pruned=pruned,
    )


def _selected(task: FoldTask, context: WorkerContext, parts: FoldParts) -> NDArray[np.int64]:
    """The rows of the pool that this run sees: chosen among those that have a picture of every sensor."""
    pool = pretraining_pool(parts, context, task.config.data.pool)
    for sensor in task.config.model.image_modalities:
        pool = pool[context.cache.present[sensor][pool].any(axis=1)]
    embed = None
    if task.weights is not None:
        embed = embed_fruit(task, context, parts.fit, task.weights)
    seed = derive_seed(task.config.data.split_seed, "selection", task.fold, task.config.seed)
    return select_pool(task.config, context.dataset, pool, parts.outer_train, embed, seed)


class _Watch:
    """The proxy: kNN on the frozen features of inner validation, after each epoch of a tuning run.

    Args:
        task: with the floor below which it is stopped.
        context: the data.
        parts: the rows it may use.
    """

    def __init__(self, task: FoldTask, context: WorkerContext, parts: FoldParts) -> None:
        self._task, self._context, self._parts = task, context, parts
        self.scores: tuple[float, ...] = ()
        self.error = 0.0

    def score(self, weights: bytes) -> float:
        """MCC of inner validation; its standard error is kept."""
        labels, parts = self._context.dataset.labels, self._parts
        features = embed_fruit(self._task, self._context, parts.fit, weights)
        train = Part(features(parts.fit), labels[parts.fit])
        score = knn_scores(train, features(parts.validation))
        self.error = inner_mcc_error(labels[parts.validation], score, self._context.dataset.task)
        return inner_mcc(labels[parts.validation], score, self._context.dataset.task)

    @property
    def curves(self) -> tuple[CurvePoint, ...]:
        """What a pruned trial leaves."""
        return tuple(
            CurvePoint(epoch, "validation", "mcc", n) for epoch, n in enumerate(self.scores, start=1)
        )

    def after_epoch(self, report: EpochReport) -> float:
        """Score the encoders; raise ``Pruned`` where they lag behind earlier trials."""
        encoders = {ENCODERS + name: value for name, value in report.encoders.state_dict().items()}
        value = self.score(pack_weights(encoders))
        self.scores = (*report.scores, value)
        self._task.require_floor(report.epoch, max(self.scores))
        return value
