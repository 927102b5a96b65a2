"""One fold of a probe run: how good frozen features are, by the field's protocols."""

from __future__ import annotations

import time

import numpy as np

from backend.evaluation.clustering import clustering
from backend.evaluation.features import Part
from backend.evaluation.knn import knn
from backend.evaluation.probe import linear_probe
from backend.evaluation.retrieval import retrieve
from backend.store.bundle import FoldBundle, MetricValue, Predictions
from backend.training.embedding import embed_fruit
from backend.training.supervised import fold_metrics
from backend.training.task import FoldTask, WorkerContext, fold_parts


def probe_fold(task: FoldTask, context: WorkerContext) -> FoldBundle:
    """Linear probe, kNN, retrieval and clustering on the frozen features of one fold.

    The run's predictions, and so its metrics, are those of the linear probe; the other protocols add
    ``knn_accuracy``, ``knn_mcc``, ``retrieval_*`` and ``clustering_*``.
    """
    started = time.perf_counter()
    dataset = context.dataset
    parts = fold_parts(context, task.config, task.fold)
    embed = embed_fruit(task, context, parts.fit, task.weights)
    train, val, test = (
        Part(embed(rows), dataset.labels[rows]) for rows in (parts.fit, parts.validation, parts.test)
    )
    outcome = linear_probe(train, val, test.features, task=dataset.task)
    ids = tuple(dataset.fruit_ids[row] for row in parts.test)
    probed = Predictions(ids, dataset.defect_names, test.labels, outcome.score, outcome.y_pred)
    neighbours = knn(train, val, test.features, task=dataset.task)
    voted = Predictions(ids, dataset.defect_names, test.labels, neighbours.score, neighbours.y_pred)
    groups = np.asarray(dataset.groups)
    found = retrieve(
        train,
        test,
        task=dataset.task,
        gallery_groups=groups[parts.fit],
        query_groups=groups[parts.test],
    )
    metrics = fold_metrics(probed, dataset)
    metrics += _overall(metrics, "accuracy", "probe_accuracy")
    knn_metrics = fold_metrics(voted, dataset)
    metrics += _overall(knn_metrics, "accuracy", "knn_accuracy") + _overall(knn_metrics, "mcc", "knn_mcc")
    metrics += found.metrics() + clustering(test.features, test.labels, seed=task.seed)
    return FoldBundle(
        fold=task.fold,
        seconds=time.perf_counter() - started,
        predictions=probed,
        metrics=tuple(metrics),
        notes=outcome.notes,
    )


def _overall(metrics: list[MetricValue], name: str, as_name: str) -> list[MetricValue]:
    """The metric ``name`` over all defects, under another name."""
    return [
        MetricValue(as_name, metric.value, reason=metric.reason)
        for metric in metrics
        if metric.metric == name and metric.defect is None
    ]
