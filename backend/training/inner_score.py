"""The score that choices are made by: MCC on the inner validation part, and its standard error."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.data.dataset import MULTICLASS
from backend.evaluation.bootstrap import group_weights
from backend.evaluation.counts import COUNT_METRICS, Counts, group_counts, mean_defined, multiclass_mcc
from backend.evaluation.thresholds import choose_threshold, one_hot_best

_INNER_RESAMPLES = 200
"""Enough for a standard error that is only compared with a difference."""


def inner_mcc(labels: NDArray[np.float32], score: NDArray[np.float32], task: str) -> float:
    """The MCC that choices are made by.

    Args:
        labels: (n, D) of inner validation.
        score: (n, D) probabilities.
        task: ``multiclass`` = MCC of the likeliest class; ``multilabel`` = mean over the defects that are
            defined here.

    Returns:
        The MCC; 0 where nothing is defined. A defect's threshold is chosen on one half of the fruit and
        judged on the other, and the other way round: with a handful of positives the best threshold on the
        same fruit finds an MCC of 0.3 in pure noise, and epochs would be chosen by luck.
    """
    counts = group_counts(labels, _inner_decisions(labels, score, task), np.zeros(len(labels), np.intp), 1)
    return float(np.nan_to_num(_mcc_of(counts, task)[0]))


def inner_mcc_error(labels: NDArray[np.float32], score: NDArray[np.float32], task: str) -> float:
    """The standard error of ``inner_mcc`` over draws of fruit, by bootstrap; arguments as there."""
    fruit = len(labels)
    counts = group_counts(labels, _inner_decisions(labels, score, task), np.arange(fruit), fruit)
    drawn = np.concatenate(list(group_weights(fruit, _INNER_RESAMPLES, seed=0, rows=_INNER_RESAMPLES)))
    values = _mcc_of(np.tensordot(drawn, counts, axes=1), task)
    return float(np.std(np.nan_to_num(values), ddof=1))


def clearly_better(score: float, other: float, error: float) -> bool:
    """Whether a score is better than another by more than a standard error; False where it is NaN.

    The rule of one standard error (Breiman et al. 1984, section 3.4.3): where few fruit judge, the best of
    many is a matter of luck, so what is there first stays unless it is clearly beaten.
    """
    return score - other > error


def _mcc_of(counts: Counts, task: str) -> NDArray[np.float64]:
    """(..., D, 4) counts to (...) MCC."""
    return multiclass_mcc(counts) if task == MULTICLASS else mean_defined(COUNT_METRICS["mcc"](counts))


def _inner_decisions(labels: NDArray[np.float32], score: NDArray[np.float32], task: str) -> NDArray[np.uint8]:
    if task == MULTICLASS:
        return one_hot_best(score)
    return np.column_stack([_cross_decided(labels[:, j], score[:, j]) for j in range(labels.shape[1])])


def _cross_decided(labels: NDArray[np.float32], score: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Decisions on one defect, each half of the fruit by the threshold of the other, stratified."""
    half = np.zeros(len(labels), dtype=bool)
    for value in (0, 1):
        half[np.flatnonzero(labels == value)[1::2]] = True
    decided = np.zeros(len(labels), dtype=np.uint8)
    for part in (half, ~half):
        decided[part] = score[part] >= choose_threshold(labels[~part], score[~part])
    return decided
