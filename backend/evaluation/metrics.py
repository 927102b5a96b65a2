"""Every metric of a set of held-out predictions, with intervals.

``summarise`` is what training stores: metrics per defect (in a multiclass data set: per class against the
rest) and over all defects. Over all defects means

- ``mcc``: the multiclass MCC, in a multilabel data set the mean over defects;
- ``accuracy``: share of fruit whose class was found; multilabel: the mean over defects;
- ``balanced_accuracy``: the mean recall over classes; multilabel: the mean over defects;
- every other metric of a defect (``f1``, ``precision``, ``recall``, ``auroc``, ``average_precision``): the
  mean over defects or classes (macro);
- ``top3_accuracy`` (multiclass): share of fruit whose class is among the three highest scores;
- ``sorting_mcc``: the multiclass MCC of the sorter's exits (``backend.evaluation.exits``).

A mean is taken over the defects with a defined value, and the reason names the others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from backend.data.dataset import MULTICLASS
from backend.errors import TrainingError
from backend.evaluation.bootstrap import Weights, bootstrap
from backend.evaluation.counts import (
    COUNT_METRICS,
    NEGATIVE,
    POSITIVE,
    group_counts,
    lacking,
    mean_defined,
    multiclass_accuracy,
    multiclass_mcc,
)
from backend.evaluation.exits import exits
from backend.evaluation.ranking import Ranking
from backend.store.bundle import MetricValue, Predictions

RANKED = ("auroc", "average_precision")
DEFECT_METRICS: tuple[str, ...] = (*COUNT_METRICS, *RANKED)

_NEEDS = {metric.name: metric.needs for metric in COUNT_METRICS.values()} | dict.fromkeys(
    RANKED, (POSITIVE, NEGATIVE)
)

DESCRIPTIONS: dict[str, str] = {
    **{metric.name: metric.description for metric in COUNT_METRICS.values()},
    "auroc": "chance that a fruit with it scores above one without it",
    "average_precision": "area under precision against recall, as a step function",
    "top3_accuracy": "share of fruit whose class is among the three highest scores",
    "sorting_mcc": "multiclass MCC of the sorter's exits: a-quality, external only, internal",
}
"""Metric name to one line for people."""


@dataclass(frozen=True)
class Key:
    """What a column of a scorecard holds; ``defect`` None = over all defects."""

    metric: str
    defect: str | None = None


class Scorecard:
    """All metrics of one set of predictions, as a function of group weights.

    Args:
        predictions: held-out predictions of n fruit.
        task: ``multilabel`` or ``multiclass``.
        healthy: name of the class without defects.
        kinds: defect name to ``internal``, ``external`` or ``other``.
        group: (n,) group of each fruit, 0 to G - 1.
        n_groups: G.
        k: the k of top-k accuracy.
        ranked: whether to compute the metrics of scores, which cost the most.

    Attributes:
        keys: M metrics, in the order of the values.
    """

    def __init__(
        self,
        predictions: Predictions,
        *,
        task: str,
        healthy: str,
        kinds: dict[str, str],
        group: NDArray[np.intp],
        n_groups: int,
        k: int = 3,
        ranked: bool = True,
    ) -> None:
        """Count and sort once, so that each weighting is a few sums."""
        p = predictions
        if not np.isfinite(p.score).all():
            raise TrainingError(
                f"{int((~np.isfinite(p.score)).sum())} of {p.score.size} scores are not finite",
                where="predictions",
                expected="probabilities from 0 to 1",
                action="lower the learning rate",
            )
        self.defects, self.multiclass, self.k = p.defects, task == MULTICLASS, k
        self.counts = group_counts(p.y_true, p.y_pred, group, n_groups)
        sort = partial(exits, defects=p.defects, task=task, healthy=healthy, kinds=kinds)
        true_exit, called_exit = sort(p.y_true), sort(p.y_pred.astype(np.float32))
        self.exit_counts = group_counts(true_exit, called_exit.astype(np.uint8), group, n_groups)
        self.top_counts = _top_counts(p, k, group, n_groups)
        self.rankings = [_ranking(p, j, group) for j in range(len(p.defects))] if ranked else []
        self.keys = self._keys()

    def _keys(self) -> tuple[Key, ...]:
        per_defect = DEFECT_METRICS if self.rankings else tuple(COUNT_METRICS)
        top = [f"top{self.k}_accuracy"] if self.multiclass and self.rankings else []
        return (
            *(Key(name, defect) for name in per_defect for defect in self.defects),
            *(Key(name) for name in (*per_defect, *top, "sorting_mcc")),
        )

    def __call__(self, weights: Weights) -> NDArray[np.float64]:
        """Values (R, M) of group weights (R, G); NaN = undefined."""
        counts = _weigh(weights, self.counts)
        per_defect = {name: metric(counts) for name, metric in COUNT_METRICS.items()}
        if self.rankings:
            ranked = np.stack([ranking(weights) for ranking in self.rankings], axis=1)
            per_defect |= {name: ranked[..., i] for i, name in enumerate(RANKED)}
        pooled = {name: mean_defined(values) for name, values in per_defect.items()}
        if self.multiclass:
            pooled |= self._multiclass(weights, counts, per_defect["recall"])
        pooled["sorting_mcc"] = multiclass_mcc(_weigh(weights, self.exit_counts))
        return np.concatenate(
            [*per_defect.values(), *(column[:, None] for column in pooled.values())], axis=1
        )

    def _multiclass(
        self, weights: Weights, counts: NDArray[np.float64], recall: NDArray[np.float64]
    ) -> dict[str, NDArray[np.float64]]:
        mcc = multiclass_mcc(counts)
        pooled = {
            "mcc": mcc,
            "accuracy": multiclass_accuracy(counts),
            "balanced_accuracy": np.where(np.isnan(mcc), np.nan, mean_defined(recall)),
        }
        if self.rankings:
            top = COUNT_METRICS["accuracy"](_weigh(weights, self.top_counts))[:, 0]
            pooled[f"top{self.k}_accuracy"] = top if len(self.defects) > self.k else np.full_like(top, np.nan)
        return pooled

    def reasons(self, values: NDArray[np.float64]) -> list[str]:
        """Why each of the point values (M,) is undefined, or which defects its mean leaves out."""
        undefined: dict[str, list[str]] = {}
        for key, value in zip(self.keys, values, strict=True):
            if key.defect is not None and np.isnan(value):
                undefined.setdefault(key.metric, []).append(f"{key.defect} ({self._why(key)})")
        return [
            self._why_pooled(key, value, undefined.get(key.metric, []))
            if key.defect is None
            else self._why(key) * bool(np.isnan(value))
            for key, value in zip(self.keys, values, strict=True)
        ]

    def _why(self, key: Key) -> str:
        assert key.defect is not None, "pooled metrics have reasons of their own"
        return lacking(_NEEDS[key.metric], self.counts.sum(axis=0)[self.defects.index(key.defect)])

    def _why_pooled(self, key: Key, value: float, undefined: list[str]) -> str:
        exclusive = key.metric == "sorting_mcc" or (self.multiclass and key.metric in {"mcc", "accuracy"})
        if not np.isnan(value):
            return f"undefined for {', '.join(undefined)}" if undefined and not exclusive else ""
        counts = self.exit_counts if key.metric == "sorting_mcc" else self.counts
        if not counts.sum():
            return "no labelled fruit"
        if key.metric == "sorting_mcc":
            return "every fruit has the same true exit"
        if key.metric.startswith("top"):
            return f"there are only {len(self.defects)} classes"
        return (
            "every fruit has the same class" if self.multiclass else f"undefined for {', '.join(undefined)}"
        )


def _weigh(weights: Weights, counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Counts (G, D, 4) under weights (R, G): (R, D, 4), one matrix product."""
    return (weights @ counts.reshape(len(counts), -1)).reshape(len(weights), *counts.shape[1:])


def _ranking(p: Predictions, column: int, group: NDArray[np.intp]) -> Ranking:
    labelled = ~np.isnan(p.y_true[:, column])
    return Ranking(p.y_true[labelled, column], p.score[labelled, column], group[labelled])


def _top_counts(p: Predictions, k: int, group: NDArray[np.intp], n_groups: int) -> NDArray[np.float64]:
    """Whether the true class is among the k highest scores, as counts (G, 1, 4).

    Of equal scores the later class goes first, as in scikit-learn's ``top_k_accuracy_score``.
    """
    labelled = (p.y_true == 1).any(axis=1)
    true = np.argmax(p.y_true == 1, axis=1)[:, None]
    own = np.take_along_axis(p.score, true, axis=1)
    ahead = (p.score > own) | ((p.score == own) & (np.arange(p.score.shape[1]) > true))
    hit = (ahead.sum(axis=1) < k).astype(np.uint8)
    return group_counts(
        np.where(labelled, 1, np.nan)[:, None].astype(np.float32), hit[:, None], group, n_groups
    )


def summarise(
    predictions: Predictions,
    *,
    task: str,
    healthy: str,
    kinds: dict[str, str],
    groups: NDArray[np.str_] | NDArray[np.intp] | None = None,
    resamples: int = 2000,
    seed: int = 0,
    k: int = 3,
) -> list[MetricValue]:
    """Every metric of held-out predictions, per defect and over all.

    Args:
        predictions: of n fruit; unlabelled entries (NaN) are left out, defect by defect.
        task: ``multilabel`` or ``multiclass``.
        healthy: name of the class without defects.
        kinds: defect name to ``internal``, ``external`` or ``other``.
        groups: (n,) group of each fruit; given, each value gets a 95 % BCa bootstrap interval over groups.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        k: of top-k accuracy.

    Returns:
        Metrics of each defect, then those over all defects. Undefined values are None with the reason.

    Raises:
        TrainingError: a score is not finite.
    """
    n = len(predictions.fruit_ids)
    group = np.zeros(n, np.intp) if groups is None else np.unique(groups, return_inverse=True)[1]
    n_groups = int(group.max(initial=0)) + 1
    card = Scorecard(
        predictions, task=task, healthy=healthy, kinds=kinds, group=group, n_groups=n_groups, k=k
    )
    if groups is None or n == 0:
        return _values(card, card(np.ones((1, n_groups)))[0])
    boot = bootstrap(card, n_groups, resamples=resamples, seed=seed, width=n)
    values = _values(card, boot.point)
    intervals = [boot.interval(column) for column in range(len(values))]
    return [
        replace(v, ci_low=i.low, ci_high=i.high, reason="; ".join(filter(None, (v.reason, i.reason))))
        for v, i in zip(values, intervals, strict=True)
    ]


def _values(card: Scorecard, point: NDArray[np.float64]) -> list[MetricValue]:
    return [
        MetricValue(key.metric, None if np.isnan(value) else float(value), key.defect, reason=reason)
        for key, value, reason in zip(card.keys, point, card.reasons(point), strict=True)
    ]
