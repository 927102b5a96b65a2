"""Decisions in money: what misses and false alarms cost per 1,000 fruit, and where to cut instead.

Costs are those of ``dataset.toml``, a fruit and a defect each. In a multiclass data set the healthy class
has no cost of its own: missing it is a false alarm of another class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.data.dataset import MULTICLASS, Defect
from backend.evaluation.counts import FN, FP, Counts, group_counts
from backend.evaluation.thresholds import DEFAULT, cost_threshold, cuts
from backend.store.bundle import MetricValue, Predictions

PER = 1000.0


@dataclass(frozen=True)
class DefectCost:
    """What the decisions on one defect cost.

    Attributes:
        defect: its name.
        n: labelled fruit.
        misses: fruit with it that were passed.
        false_alarms: fruit without it that were called.
        cost: money per 1,000 fruit as decided; None without a labelled fruit.
        default_cost: the same with threshold 0.5.
        best_threshold: the cheapest threshold **on these very fruit**: hindsight, a bound on what better
            thresholds could save. One to use is chosen on inner validation by ``cost_threshold``.
        best_cost: money per 1,000 fruit there.
    """

    defect: str
    n: int
    misses: int
    false_alarms: int
    cost: float | None
    default_cost: float | None
    best_threshold: float
    best_cost: float | None


@dataclass(frozen=True)
class CostCurve:
    """Money per 1,000 fruit by threshold: ``thresholds`` and ``costs``, (T,) each."""

    thresholds: NDArray[np.float64]
    costs: NDArray[np.float64]


def _per_thousand(counts: Counts, defect: Defect) -> float | None:
    n = counts.sum()
    if n == 0:
        return None
    return float(PER * (counts[FN] * defect.cost_miss + counts[FP] * defect.cost_false_alarm) / n)


def costs(
    predictions: Predictions, defects: tuple[Defect, ...], *, task: str, healthy: str
) -> list[DefectCost]:
    """The cost of each defect, in the order of the predictions.

    Args:
        predictions: held-out predictions.
        defects: the data set's defects, matched by name.
        task: ``multilabel`` or ``multiclass``.
        healthy: name of the class without defects.
    """
    by_name = {defect.name: defect for defect in defects}
    return [
        _cost(predictions, column, by_name[name])
        for column, name in enumerate(predictions.defects)
        if task != MULTICLASS or name != healthy
    ]


def _cost(p: Predictions, column: int, defect: Defect) -> DefectCost:
    true, score = p.y_true[:, column], p.score[:, column]
    counts = _counts(true, p.y_pred[:, column])
    best = cost_threshold(true, score, defect.cost_miss, defect.cost_false_alarm)
    return DefectCost(
        defect=defect.name,
        n=int(counts.sum()),
        misses=int(counts[FN]),
        false_alarms=int(counts[FP]),
        cost=_per_thousand(counts, defect),
        default_cost=_per_thousand(_counts(true, score >= DEFAULT), defect),
        best_threshold=best,
        best_cost=_per_thousand(_counts(true, score >= np.float64(best)), defect),
    )


def _counts(true: NDArray[np.float32], called: NDArray[np.uint8] | NDArray[np.bool_]) -> Counts:
    one_group = np.zeros(len(true), np.intp)
    counts: Counts = group_counts(true[:, None], called[:, None].astype(np.uint8), one_group, 1)[0, 0]
    return counts


def cost_metrics(values: list[DefectCost]) -> list[MetricValue]:
    """The costs as metrics to store: ``cost_per_1000`` per defect and, over all defects, their sum."""
    defined = [value.cost for value in values if value.cost is not None]
    left_out = [value.defect for value in values if value.cost is None]
    reason = f"no labelled fruit for {', '.join(left_out)}" if left_out else ""
    total = MetricValue("cost_per_1000", sum(defined) if defined else None, reason=reason)
    return [
        *(
            MetricValue("cost_per_1000", v.cost, v.defect, reason="no labelled fruit" * (v.cost is None))
            for v in values
        ),
        total,
    ]


def cost_curve(y_true: NDArray[np.floating], score: NDArray[np.floating], defect: Defect) -> CostCurve:
    """The cost at every threshold that decides differently, rising from 0 (call all).

    Args:
        y_true: (n,), 1, 0 or NaN.
        score: (n,) probabilities, 0 to 1.
        defect: whose costs count.

    Returns:
        One point per distinct score, at the score itself (fruit of that score are called), plus the point
        above the highest; empty without a labelled fruit.
    """
    candidates = cuts(y_true, score)
    n = candidates.counts[0].sum()
    if n == 0:
        return CostCurve(np.zeros(0), np.zeros(0))
    _, fp, fn, _ = candidates.counts.T
    money = PER * (fn * defect.cost_miss + fp * defect.cost_false_alarm) / n
    above_all = np.nextafter(candidates.high[1], np.inf)
    thresholds = np.concatenate([[above_all], candidates.high[1:]])
    return CostCurve(thresholds[::-1].copy(), money[::-1].copy())
