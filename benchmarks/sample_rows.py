"""Rows of a sample store by formula: predictions, metrics, curves and tests. Nothing in them was trained."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sample_data import folds_of, seeded

from backend.data.dataset import MULTICLASS, FruitDataset
from backend.store.bundle import CurvePoint, MetricValue, Predictions
from backend.store.rows import ComparisonRow
from backend.store.writer import RunStore


def predictions(
    dataset: FruitDataset, skill: float | NDArray[np.float64], key: str, fold: int
) -> Predictions:
    """Scores of the held-out fruit of a fold: the label pulled by ``skill``, plus noise seeded by ``key``.

    Args:
        dataset: the fruit.
        skill: one for all defects, or (D,) one a defect.
        key: seed of the noise.
        fold: the outer fold.
    """
    folds = folds_of(dataset)
    rows = [i for i, name in enumerate(dataset.fruit_ids) if folds.get(name) == fold]
    truth = dataset.labels[rows]
    noise = seeded("scores", key, fold).normal(size=truth.shape)
    # The harder a defect, the less the label pulls; fruit keep a share of their noise in every run.
    ease = np.linspace(1.15, 0.75, truth.shape[1])
    own = seeded("fruit", dataset.dataset_id, fold).normal(size=truth.shape)
    pull = np.where(np.isnan(truth), 0, 2 * np.nan_to_num(truth) - 1) * skill * ease
    logits = pull + 0.8 * own + 0.6 * noise
    if dataset.task == MULTICLASS:
        odds = np.exp(1.6 * logits)
        score = (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)
        decided = np.eye(truth.shape[1], dtype=np.uint8)[score.argmax(axis=1)]
    else:
        score = (1 / (1 + np.exp(-logits))).astype(np.float32)
        decided = (score >= 0.58 + 0.02 * fold).astype(np.uint8)
    return Predictions(tuple(dataset.fruit_ids[i] for i in rows), dataset.defect_names, truth, score, decided)


def metrics(pooled: Predictions) -> tuple[MetricValue, ...]:
    """MCC, recall, precision and accuracy of each defect and over all, with rough 95 % intervals."""
    values = []
    for column, defect in enumerate(pooled.defects):
        known = ~np.isnan(pooled.y_true[:, column])
        truth, said = pooled.y_true[known, column] == 1, pooled.y_pred[known, column] == 1
        tp, fp, fn, tn = ((truth & said), (~truth & said), (truth & ~said), (~truth & ~said))
        counts = tuple(float(part.sum()) for part in (tp, fp, fn, tn))
        values += _defect_metrics(defect, *counts)
    overall = []
    one_class = not np.isnan(pooled.y_true).any() and bool((pooled.y_true.sum(axis=1) == 1).all())
    if one_class:
        right = float((pooled.y_true * pooled.y_pred).sum(axis=1).mean())
        half = 1.96 * float(np.sqrt(right * (1 - right) / len(pooled.fruit_ids)))
        overall.append(MetricValue("accuracy", right, None, right - half, min(1.0, right + half)))
    for name in ("mcc", "recall", "precision", "accuracy"):
        if one_class and name == "accuracy":
            continue
        parts = [m for m in values if m.metric == name and m.value is not None]
        mean = float(np.mean([m.value for m in parts]))
        half = float(np.mean([m.ci_high - m.ci_low for m in parts])) / 2 / np.sqrt(len(parts))  # type: ignore[operator]
        overall.append(MetricValue(name, mean, None, max(-1.0, mean - half), min(1.0, mean + half)))
    return (*overall, *values)


def _defect_metrics(defect: str, tp: float, fp: float, fn: float, tn: float) -> list[MetricValue]:
    spread = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    shares = {
        "mcc": ((tp * tn - fp * fn) / spread if spread else None, tp + fn),
        "recall": (tp / (tp + fn) if tp + fn else None, tp + fn),
        "precision": (tp / (tp + fp) if tp + fp else None, tp + fp),
        "accuracy": ((tp + tn) / (tp + fp + fn + tn), tp + fp + fn + tn),
    }
    values = []
    for name, (value, n) in shares.items():
        if value is None:
            values.append(MetricValue(name, None, defect, reason="no fruit to divide by"))
            continue
        half = 1.96 * float(np.sqrt(max(value * (1 - value), 0.01) / n))
        values.append(
            MetricValue(name, float(value), defect, max(-1.0, value - half), min(1.0, value + half))
        )
    return values


def curves(key: str, fold: int, epochs: int) -> tuple[CurvePoint, ...]:
    """Loss and MCC of a training that converges."""
    noise = seeded("curves", key, fold).normal(scale=0.02, size=(epochs, 2))
    points = []
    for epoch in range(1, epochs + 1):
        decay = float(np.exp(-epoch / 5))
        for split, gap in (("train", 0.0), ("val", 0.08)):
            wobble = float(noise[epoch - 1, int(split == "val")])
            points.append(CurvePoint(epoch, split, "loss", 0.25 + gap + 0.6 * decay + wobble))
        points.append(CurvePoint(epoch, "val", "mcc", 0.7 - 0.6 * decay + float(noise[epoch - 1, 0])))
    return tuple(points)


def compare(store: RunStore, a: str, b: str, family: str = "pretraining: made up") -> list[ComparisonRow]:
    """Differences of MCC and recall between two runs, with intervals from a bootstrap over fruit."""
    first, second = store.load_predictions(a), store.load_predictions(b)
    rows = []
    for metric in ("mcc", "recall"):
        for defect in (None, *first.defects):
            delta, low, high, n = _difference(first, second, metric, defect)
            verdict = "better" if low > 0 else "worse" if high < 0 else "not distinguishable"
            p = 0.004 if verdict != "not distinguishable" else 0.4
            rows.append(
                ComparisonRow(
                    a, b, metric, "bootstrap over groups", defect, delta, low, high, p, p, family, n, verdict
                )
            )
    return rows


def _difference(
    a: Predictions, b: Predictions, metric: str, defect: str | None
) -> tuple[float, float, float, int]:
    random = seeded("bootstrap", metric, defect)
    columns = range(len(a.defects)) if defect is None else [a.defects.index(defect)]

    def score(p: Predictions, rows: NDArray[np.intp]) -> float:
        values = []
        for column in columns:
            truth, said = p.y_true[rows, column], p.y_pred[rows, column] == 1
            yes, no = truth == 1, truth == 0
            tp, fp, fn, tn = (float(x.sum()) for x in (yes & said, no & said, yes & ~said, no & ~said))
            spread = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
            values.append(
                (tp * tn - fp * fn) / spread if metric == "mcc" and spread else tp / max(1.0, tp + fn)
            )
        return float(np.mean(values))

    every = np.arange(len(a.fruit_ids))
    draws = [random.choice(every, len(every)) for _ in range(60)]
    deltas = [score(b, rows) - score(a, rows) for rows in draws]
    low, high = (float(q) for q in np.quantile(deltas, [0.025, 0.975]))
    known = ~np.isnan(a.y_true[:, list(columns)]).all(axis=1)
    return score(b, every) - score(a, every), low, high, int(known.sum())
