"""The MCC of many sets of predictions on the same fruit, and of mixtures of them, with intervals.

Every resample of the groups is drawn once for all sets, so that differences and weighted sums of their MCCs
have honest intervals. Confusion counts are linear in the group weights: one matrix product scores every set
under a block of resamples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from backend.data.dataset import MULTICLASS
from backend.evaluation.bootstrap import Weights, bootstrap
from backend.evaluation.counts import (
    COUNT_METRICS,
    NEGATIVE,
    POSITIVE,
    group_counts,
    lacking,
    mean_defined,
    multiclass_mcc,
)
from backend.evaluation.pairing import aligned
from backend.store.bundle import MetricValue, Predictions

_MCC = COUNT_METRICS["mcc"]


class JointMcc:
    """MCCs of S sets of predictions as a function of group weights.

    Args:
        sets: each one or more predictions (seeds, repeats), whose MCCs are averaged; all of the same n fruit
            in any order, with D defects.
        mixture: (O, S) weights of each output; None = the sets themselves.
        multiclass: whether each fruit has exactly one class.
        groups: fruit id to group.

    Attributes:
        n_groups: G.
        counts: (G, N, D, 4) confusion counts of all N predictions.
    """

    def __init__(
        self,
        sets: Sequence[Sequence[Predictions]],
        mixture: NDArray[np.float64] | None,
        *,
        multiclass: bool,
        groups: Mapping[str, str],
    ) -> None:
        order = sets[0][0].fruit_ids
        names, group = np.unique([groups[fruit] for fruit in order], return_inverse=True)
        self.n_groups, self.multiclass = len(names), multiclass
        every = [aligned(predictions, order) for members in sets for predictions in members]
        self.counts = np.stack(
            [group_counts(p.y_true, p.y_pred, group, self.n_groups) for p in every], axis=1
        )
        members = np.repeat(np.arange(len(sets)), [len(chosen) for chosen in sets])
        mean = (members == np.arange(len(sets))[:, None]) / np.array([[len(chosen)] for chosen in sets])
        self._mixture = mean if mixture is None else mixture @ mean

    def __call__(self, weights: Weights) -> NDArray[np.float64]:
        """(R, O * (D + 1)) of group weights (R, G): each defect, then over all; NaN = undefined.

        Whether an MCC is defined is a matter of the truth alone, so NaN never hides in a mixture.
        """
        counts = (weights @ self.counts.reshape(self.n_groups, -1)).reshape(
            len(weights), *self.counts.shape[1:]
        )
        by_defect = _MCC(counts)
        overall = multiclass_mcc(counts) if self.multiclass else mean_defined(by_defect)
        values = np.concatenate([by_defect, overall[..., None]], axis=-1)
        return np.einsum("os,rsd->rod", self._mixture, values).reshape(len(weights), -1)


def joint_mcc(
    names: Sequence[str],
    sets: Sequence[Sequence[Predictions]],
    *,
    task: str,
    groups: Mapping[str, str],
    mixture: NDArray[np.float64] | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> list[MetricValue]:
    """MCCs, or mixtures of them, for each defect and over all, with 95 % intervals over groups of fruit.

    Args:
        names: O metric names of the outputs.
        sets: S sets, see ``JointMcc``.
        task: ``multilabel`` or ``multiclass``.
        groups: fruit id to group.
        mixture: (O, S) weights; None = the sets themselves, and O = S.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        O * (D + 1) values; None with the reason where the MCC is undefined. The intervals hold the luck of
        which fruit were tested, not that of training.
    """
    statistic = JointMcc(sets, mixture, multiclass=task == MULTICLASS, groups=groups)
    width = statistic.counts[0].size
    boot = bootstrap(statistic, statistic.n_groups, resamples=resamples, seed=seed, width=width)
    defects: list[str | None] = [*sets[0][0].defects, None]
    truth = statistic.counts[:, 0].sum(axis=0)
    values = []
    for column, (name, defect) in enumerate((name, defect) for name in names for defect in defects):
        point, interval = float(boot.point[column]), boot.interval(column)
        why = lacking((POSITIVE, NEGATIVE), truth[defects.index(defect)]) if defect is not None else ""
        values.append(
            MetricValue(
                name,
                None if np.isnan(point) else point,
                defect,
                ci_low=interval.low,
                ci_high=interval.high,
                reason="; ".join(filter(None, (why, interval.reason))),
            )
        )
    return values
