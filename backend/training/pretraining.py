"""One fold of a pretraining run: who may be seen, train, and a cheap score on inner validation."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from backend.data.splits import without_groups_of
from backend.evaluation.features import Part
from backend.evaluation.knn import knn_scores
from backend.store.bundle import ArtifactData, FoldBundle, MetricValue
from backend.training.embedding import embed_fruit
from backend.training.pretrain import pretrain
from backend.training.supervised import inner_mcc
from backend.training.task import FoldParts, FoldTask, WorkerContext, fold_parts

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
    result = pretrain(
        task.config,
        context.dataset,
        context.cache,
        pretraining_pool(parts, context, task.config.data.pool),
        seed=task.seed,
        device=context.device,
        labels=labels,
        checkpoint=context.checkpoint(task.run_id, task.fold),
    )
    score = _knn_score(task, context, parts, result.weights)
    return FoldBundle(
        fold=task.fold,
        seconds=time.perf_counter() - started,
        metrics=(MetricValue("inner_mcc", score),),
        curves=result.curves,
        artifacts=(ArtifactData(f"fold{task.fold}/{WEIGHTS}", "encoders", result.weights),),
        notes=result.notes,
    )


def _knn_score(task: FoldTask, context: WorkerContext, parts: FoldParts, weights: bytes) -> float:
    labels = context.dataset.labels
    features = embed_fruit(task, context, parts.fit, weights)
    train = Part(features(parts.fit), labels[parts.fit])
    score = knn_scores(train, features(parts.validation))
    return inner_mcc(labels[parts.validation], score, context.dataset.task)
