"""One fold of a probe run: how good frozen features are, by the field's protocols."""

from __future__ import annotations

import time

import numpy as np

from backend.data.dataset import FruitDataset
from backend.evaluation.clustering import clustering
from backend.evaluation.features import Outcome, Part
from backend.evaluation.knn import knn
from backend.evaluation.oneclass import one_class
from backend.evaluation.probe import linear_probe
from backend.evaluation.retrieval import retrieve
from backend.models.backbones import create_backbone
from backend.store.bundle import FoldBundle, MetricValue, Predictions
from backend.training.embedding import embed_stages
from backend.training.inner_score import inner_mcc
from backend.training.selecting import sound_fruit
from backend.training.supervised import fold_metrics
from backend.training.task import FoldParts, FoldTask, WorkerContext, fold_parts

ONE_CLASS_NEIGHBOURS = 5
PROBE_INNER_MCC = "probe_inner_mcc"
"""The MCC of the linear probe on inner validation, see ``inner_score.inner_mcc``."""


def probe_fold(task: FoldTask, context: WorkerContext) -> FoldBundle:
    """Linear probe, kNN, retrieval, clustering and one-class detection on the frozen features of one fold.

    The run's predictions, and so its metrics, are those of the linear probe; the other protocols add
    ``knn_accuracy``, ``knn_mcc``, ``retrieval_*``, ``clustering_*`` and ``oneclass_*``. With all labels
    every stage of the backbone is probed too: ``probe_mcc:stageK`` and ``probe_accuracy:stageK``, K from 1.
    """
    started = time.perf_counter()
    dataset = context.dataset
    parts = fold_parts(context, task.config, task.fold)
    *earlier, (train, val, test) = _stages(task, context, parts)
    outcome = linear_probe(train, val, test.features, task=dataset.task)
    probed = _predictions(context, parts, outcome)
    metrics = [*fold_metrics(probed, dataset), _validated(parts, outcome, dataset)]
    if task.config.data.label_fraction == 1:
        metrics += _layers(context, parts, earlier) + _of_stage(metrics, len(earlier) + 1)
    metrics += _overall(metrics, "accuracy", "probe_accuracy")
    voted = _predictions(context, parts, knn(train, val, test.features, task=dataset.task))
    knn_metrics = fold_metrics(voted, dataset)
    metrics += _overall(knn_metrics, "accuracy", "knn_accuracy") + _overall(knn_metrics, "mcc", "knn_mcc")
    groups = np.asarray(dataset.groups)
    metrics += retrieve(
        train,
        test,
        task=dataset.task,
        gallery_groups=groups[parts.fit],
        query_groups=groups[parts.test],
    ).metrics()
    metrics += clustering(test.features, test.labels, seed=task.seed)
    metrics += _one_class(context, train, test)
    return FoldBundle(
        fold=task.fold,
        seconds=time.perf_counter() - started,
        predictions=probed,
        metrics=tuple(metrics),
        notes=outcome.notes,
    )


def _stages(task: FoldTask, context: WorkerContext, parts: FoldParts) -> list[tuple[Part, Part, Part]]:
    """Features and labels of the fitting, validation and test parts, of each stage, the last one last."""
    count = len(create_backbone(task.config.model.backbone, 1).stages)
    layers = range(count) if task.config.data.label_fraction == 1 else (-1,)
    embed = embed_stages(task, context, parts.fit, task.weights, layers)
    labels = context.dataset.labels
    found = [
        [Part(features, labels[rows]) for features in embed(rows)]
        for rows in (parts.fit, parts.validation, parts.test)
    ]
    return list(zip(*found, strict=True))


def _validated(parts: FoldParts, outcome: Outcome, dataset: FruitDataset) -> MetricValue:
    """``PROBE_INNER_MCC``, by which pretrainings are ranked: test fruit have no say in it."""
    assert outcome.validation is not None, "a linear probe keeps what it says of inner validation"
    score = inner_mcc(dataset.labels[parts.validation], outcome.validation, dataset.task)
    return MetricValue(PROBE_INNER_MCC, score)


def _predictions(context: WorkerContext, parts: FoldParts, outcome: Outcome) -> Predictions:
    dataset = context.dataset
    ids = tuple(dataset.fruit_ids[row] for row in parts.test)
    return Predictions(ids, dataset.defect_names, dataset.labels[parts.test], outcome.score, outcome.y_pred)


def _one_class(context: WorkerContext, train: Part, test: Part) -> list[MetricValue]:
    """Tell fruit with any defect from sound ones, having seen sound ones only."""
    sound = sound_fruit(context.dataset, train.labels)
    if sound.sum() < 2:
        reason = "fewer than two sound fruit to learn from"
        names = ("oneclass_auroc", "oneclass_average_precision")
        return [MetricValue(name, None, reason=reason) for name in names]
    labelled = ~np.isnan(test.labels).all(axis=1)
    return one_class(
        train.features[sound],
        test.features[labelled],
        ~sound_fruit(context.dataset, test.labels)[labelled],
        k=ONE_CLASS_NEIGHBOURS,
    ).metrics()


def _layers(
    context: WorkerContext, parts: FoldParts, stages: list[tuple[Part, Part, Part]]
) -> list[MetricValue]:
    """The linear probe on the averaged feature map of each of the first stages of the backbone."""
    metrics = []
    for number, (train, val, test) in enumerate(stages, start=1):
        outcome = linear_probe(train, val, test.features, task=context.dataset.task)
        found = fold_metrics(_predictions(context, parts, outcome), context.dataset)
        metrics += _of_stage(found, number)
    return metrics


def _of_stage(metrics: list[MetricValue], number: int) -> list[MetricValue]:
    return [
        value
        for name in ("mcc", "accuracy")
        for value in _overall(metrics, name, f"probe_{name}:stage{number}")
    ]


def _overall(metrics: list[MetricValue], name: str, as_name: str) -> list[MetricValue]:
    """The metric ``name`` over all defects, under another name."""
    return [
        MetricValue(as_name, metric.value, reason=metric.reason)
        for metric in metrics
        if metric.metric == name and metric.defect is None
    ]
