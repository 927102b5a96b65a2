"""Runs side by side on the same fruit: whether they may be compared, and their differences.

The differences are a function of group weights, so resamples, folds and leave-outs are all the same call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.data.dataset import MULTICLASS
from backend.errors import DataError
from backend.evaluation.bootstrap import Weights
from backend.evaluation.features import known_labels
from backend.evaluation.metrics import RANKED, Key, Scorecard
from backend.store.bundle import Predictions


@dataclass(frozen=True)
class RunMeta:
    """What decides whether two runs may be compared.

    Attributes:
        run_id: of the run.
        dataset_id: content fingerprint of its data.
        label_version: fingerprint of ids and labels.
        fold_version: fingerprint of the outer folds.
        transductive: whether pretraining saw test fruit.
        test_fruit: ids of all its held-out fruit.
    """

    run_id: str
    dataset_id: str
    label_version: str
    fold_version: str
    transductive: bool
    test_fruit: frozenset[str]


@dataclass(frozen=True)
class RunPredictions:
    """The held-out predictions of one run: n fruit and the outer fold of each, (n,)."""

    meta: RunMeta
    predictions: Predictions
    folds: NDArray[np.intp]


def comparable(a: RunMeta, b: RunMeta) -> list[str]:
    """Why two runs must not be compared, in words; empty where they may be."""
    reasons = []
    if a.dataset_id != b.dataset_id:
        reasons.append("different data (fingerprints differ)")
    if a.label_version != b.label_version:
        reasons.append("different label versions")
    if a.fold_version != b.fold_version:
        reasons.append("different outer folds")
    if a.test_fruit != b.test_fruit:
        reasons.append(f"different test fruit ({len(a.test_fruit ^ b.test_fruit):,} are in one run only)")
    seen = dict.fromkeys(run.run_id for run in (a, b) if run.transductive)
    return [*reasons, *(f"{run_id} is transductive (pretraining saw test fruit)" for run_id in seen)]


class Pair:
    """Two sides of runs on the same fruit, in the same order.

    Args:
        a: runs of one configuration.
        b: runs of the other.
        task: ``multilabel`` or ``multiclass``.
        healthy: name of the class without defects.
        kinds: defect name to ``internal``, ``external`` or ``other``.
        groups: fruit id to group; a group lies in one fold.
        metrics: which metrics to compare, over all defects and for each.

    Attributes:
        keys: M metrics, in the order of the differences.
        n_fruit: n.
        n_groups: G.
        fold_weights: (K, G) weights that single out each fold.

    Raises:
        DataError: the runs are not comparable, or a group lies in two folds.
    """

    def __init__(
        self,
        a: Sequence[RunPredictions],
        b: Sequence[RunPredictions],
        *,
        task: str,
        healthy: str,
        kinds: dict[str, str],
        groups: dict[str, str],
        metrics: tuple[str, ...],
    ) -> None:
        """Align the fruit and prepare a scorecard for each run."""
        _require_comparable(a, b)
        self.multiclass = task == MULTICLASS
        self.run_id_a, self.run_id_b = a[0].meta.run_id, b[0].meta.run_id
        order = a[0].predictions.fruit_ids
        self.a, self.b = ([aligned(run.predictions, order) for run in side] for side in (a, b))
        names, group = np.unique([groups[fruit] for fruit in order], return_inverse=True)
        self.n_fruit, self.n_groups = len(order), len(names)
        self.fold_weights = _fold_weights(a[0].folds, group, names)
        ranked = any(metric in RANKED or metric.startswith("top") for metric in metrics)
        cards = [
            [
                Scorecard(
                    predictions,
                    task=task,
                    healthy=healthy,
                    kinds=kinds,
                    group=group,
                    n_groups=self.n_groups,
                    ranked=ranked,
                )
                for predictions in side
            ]
            for side in (self.a, self.b)
        ]
        self._cards_a, self._cards_b = cards
        all_keys = self._cards_a[0].keys
        self._columns = [i for metric in metrics for i, key in enumerate(all_keys) if key.metric == metric]
        self.keys: list[Key] = [all_keys[i] for i in self._columns]

    def difference(self, weights: Weights) -> NDArray[np.float64]:
        """Mean of side b minus mean of side a, (R, M), of group weights (R, G)."""
        means = [
            np.mean([card(weights)[:, self._columns] for card in cards], axis=0)
            for cards in (self._cards_b, self._cards_a)
        ]
        difference: NDArray[np.float64] = means[0] - means[1]
        return difference

    def by_fold_and_seed(self) -> NDArray[np.float64]:
        """Side b minus side a for each fold and pair of runs, (K, S, M); NaN where undefined."""
        pairs = zip(self._cards_a, self._cards_b, strict=False)
        w = self.fold_weights
        return np.stack([(b(w) - a(w))[:, self._columns] for a, b in pairs], axis=1)

    @property
    def test_ratio(self) -> float | None:
        """Fruit in a test part over fruit in the other folds; None with a single fold."""
        n_folds = len(self.fold_weights)
        return 1 / (n_folds - 1) if n_folds > 1 else None

    def n_labelled(self, key: Key) -> int:
        """Fruit that a metric looks at."""
        true = self.a[0].y_true
        if key.defect is not None:
            return int((~np.isnan(true[:, self.a[0].defects.index(key.defect)])).sum())
        known = known_labels(true) if self.multiclass else ~np.isnan(true).all(axis=1)
        return int(known.sum())

    def rights(self, defect: str | None) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Whether the first run of each side decided each labelled fruit rightly; None = its class."""
        first = self.a[0]
        if defect is None:
            known = known_labels(first.y_true)
            right = [(p.y_true == p.y_pred)[known].all(axis=1) for p in (self.a[0], self.b[0])]
        else:
            j = first.defects.index(defect)
            known = ~np.isnan(first.y_true[:, j])
            right = [(p.y_true == p.y_pred)[known, j] for p in (self.a[0], self.b[0])]
        return right[0], right[1]


def _require_comparable(a: Sequence[RunPredictions], b: Sequence[RunPredictions]) -> None:
    found = [why for run in (*a, *b) for why in comparable(a[0].meta, run.meta)]
    if found:
        raise DataError(
            "; ".join(dict.fromkeys(found)),
            where=f"comparing {a[0].meta.run_id} with {b[0].meta.run_id}",
            expected="the same data, labels, folds and test fruit",
            action="compare runs of one study",
        )


def aligned(predictions: Predictions, order: tuple[str, ...]) -> Predictions:
    """The predictions with their fruit in the given order, which names the same fruit."""
    if predictions.fruit_ids == order:
        return predictions
    where = {fruit: row for row, fruit in enumerate(predictions.fruit_ids)}
    rows = np.array([where[fruit] for fruit in order], dtype=np.intp)
    return Predictions(
        fruit_ids=order,
        defects=predictions.defects,
        y_true=predictions.y_true[rows],
        score=predictions.score[rows],
        y_pred=predictions.y_pred[rows],
    )


def _fold_weights(folds: NDArray[np.intp], group: NDArray[np.intp], names: NDArray[np.str_]) -> Weights:
    fold_names, fold = np.unique(folds, return_inverse=True)
    inside = np.zeros((len(fold_names), len(names)))
    inside[fold, group] = 1
    torn = inside.sum(axis=0) > 1
    if torn.any():
        raise DataError(
            f"group {str(names[torn][0])!r} lies in {int(inside.sum(axis=0).max())} folds",
            where="comparison",
            expected="every group inside one fold",
            action="compare runs with grouped folds",
        )
    return inside
