"""Decision thresholds, chosen on inner validation data over every cut that the scores allow.

A fruit is called where ``score >= threshold``. Between two neighbouring scores every threshold decides
the same, so a cut is an open interval of scores and the threshold its middle: what lies farthest from
both fruit is most likely to hold on new ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.data.dataset import MULTICLASS
from backend.evaluation.counts import COUNT_METRICS, Counts

DEFAULT = 0.5
REACHABLE = 0.5
"""MCC that a cut must leave within reach: see ``Cuts.sane``."""


@dataclass(frozen=True)
class Cuts:
    """Every way to cut m fruit with K distinct scores in two, from calling none to calling all.

    Attributes:
        counts: (K + 1, 4) confusion counts.
        low: (K + 1,) highest score that is not called; minus infinity where all are.
        high: (K + 1,) lowest score that is called; infinity where none is.
    """

    counts: Counts
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @property
    def sane(self) -> NDArray[np.bool_]:
        """(K + 1,) cuts that call so few fruit that MCC could reach ``REACHABLE`` if all scores were right.

        Of a defect that was not learned every cut is as good as any other, and the best one by luck may call
        nearly all fruit. With a share p of positives and q > p called, MCC is at most
        sqrt(p (1 - q) / (q (1 - p))); a share of .08 may be called on .26 of the fruit.
        """
        tp, fp, fn, tn = np.moveaxis(self.counts, -1, 0)
        few = tp + fp <= tp + fn
        within_reach: NDArray[np.bool_] = (tp + fn) * (fn + tn) >= REACHABLE**2 * (tp + fp) * (fp + tn)
        return few | within_reach

    def threshold(self, chosen: NDArray[np.bool_]) -> float:
        """The middle of the widest interval among the chosen cuts; of equal ones that closest to 0.5.

        Neighbouring cuts that are all chosen count as one interval. Its ends are kept within 0 and 1, where
        probabilities lie.
        """
        edges = np.flatnonzero(np.diff(np.concatenate([[0], chosen.astype(np.int8), [0]])))
        first, last = edges[::2], edges[1::2] - 1
        # Cuts run from high scores to low ones.
        low, high = np.maximum(self.low[last], 0.0), np.minimum(self.high[first], 1.0)
        middle = (low + high) / 2
        order = np.lexsort((np.abs(middle - DEFAULT), -np.round(high - low, 12)))
        best = order[0]
        return _separating(float(middle[best]), float(self.low[last[best]]), float(self.high[first[best]]))


def _separating(threshold: float, low: float, high: float) -> float:
    """A threshold that decides the same in single precision, in which scores are kept."""
    if np.float32(threshold) <= np.float32(low):
        above = float(np.nextafter(np.float32(low), np.float32(np.inf)))
        return min(high, above)
    return threshold


def cuts(y_true: NDArray[np.floating], score: NDArray[np.floating]) -> Cuts:
    """Every cut of the labelled fruit.

    Args:
        y_true: (n,), 1, 0 or NaN; unlabelled fruit are left out.
        score: (n,) probabilities.
    """
    labelled = ~np.isnan(y_true)
    true, values = y_true[labelled] == 1, score[labelled].astype(np.float64)
    distinct, where = np.unique(-values, return_inverse=True)
    positives = np.bincount(where, weights=true, minlength=len(distinct))
    fruit = np.bincount(where, minlength=len(distinct))
    tp = np.concatenate([[0.0], np.cumsum(positives)])
    fp = np.concatenate([[0.0], np.cumsum(fruit)]) - tp
    counts = np.stack([tp, fp, tp[-1] - tp, fp[-1] - fp], axis=-1)
    scores = -distinct
    return Cuts(counts, np.concatenate([scores, [-np.inf]]), np.concatenate([[np.inf], scores]))


def choose_threshold(y_true: NDArray[np.floating], score: NDArray[np.floating]) -> float:
    """The threshold of highest MCC among those that are ``Cuts.sane``.

    Args:
        y_true: (n,), 1, 0 or NaN.
        score: (n,) probabilities, 0 to 1.

    Returns:
        The middle of the widest range of best thresholds; 0.5 where no threshold beats chance or only one
        class is labelled.
    """
    candidates = cuts(y_true, score)
    mcc = COUNT_METRICS["mcc"](candidates.counts)
    best = np.max(mcc, where=candidates.sane, initial=0.0)
    if np.isnan(mcc).any() or best <= 0:
        return DEFAULT
    return candidates.threshold(candidates.sane & (mcc >= best - 1e-12))


def apply_thresholds(score: NDArray[np.floating], thresholds: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Decisions (n, D), 1 where a score (n, D) reaches its defect's threshold (D,)."""
    called: NDArray[np.bool_] = score >= thresholds.astype(np.float64)
    return called.astype(np.uint8)


def one_hot_best(score: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Decisions (n, D) of exclusive classes: a single 1 at each row's highest score."""
    decisions: NDArray[np.uint8] = np.eye(score.shape[1], dtype=np.uint8)[np.argmax(score, axis=1)]
    return decisions


def decide(
    val_true: NDArray[np.float32], val_score: NDArray[np.float32], score: NDArray[np.float32], task: str
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Decide on new fruit with what inner validation teaches.

    Args:
        val_true: (v, D) labels of inner validation.
        val_score: (v, D) their scores.
        score: (n, D) scores of the fruit to decide on.
        task: ``multilabel`` = a threshold per defect; ``multiclass`` = the highest score, no threshold.

    Returns:
        Decisions (n, D) and thresholds (D,), NaN in a multiclass data set.
    """
    if task == MULTICLASS:
        return one_hot_best(score), np.full(score.shape[1], np.nan)
    chosen = [choose_threshold(val_true[:, j], val_score[:, j]) for j in range(score.shape[1])]
    thresholds = np.array(chosen)
    return apply_thresholds(score, thresholds), thresholds
