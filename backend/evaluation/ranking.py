"""AUROC and average precision of weighted fruit, for many weightings at once.

Scores are sorted once; each weighting then costs two cumulative sums. Ties are exact: fruit of one score
move together, which gives the Mann-Whitney AUROC (ties count one half) and scikit-learn's average
precision (sum over distinct scores of the gain in recall times precision, no interpolation).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Ranking:
    """The labelled fruit of one defect, sorted by falling score.

    Args:
        y_true: (n,) 1 or 0, no NaN.
        score: (n,) any real number; higher = more likely positive.
        group: (n,) column of the weights that each fruit belongs to; by default every fruit its own.
    """

    def __init__(
        self,
        y_true: NDArray[np.floating],
        score: NDArray[np.floating],
        group: NDArray[np.intp] | None = None,
    ) -> None:
        """Sort once."""
        order = np.argsort(-score, kind="stable")
        ordered = score[order]
        self.group = (np.arange(len(score)) if group is None else group)[order]
        self.positive = (y_true[order] == 1).astype(np.float64)
        starts = np.concatenate([[True], ordered[1:] != ordered[:-1]]) if len(ordered) else np.zeros(0, bool)
        self.starts = np.flatnonzero(starts)
        """Where each run of equal scores begins."""

    def __call__(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """AUROC and average precision, (R, 2), of weights (R, G); NaN where a class has no weight."""
        both = weights[:, self.group]
        positive = both * self.positive
        if len(self.starts) < len(self.group):
            both = np.add.reduceat(both, self.starts, axis=1)
            positive = np.add.reduceat(positive, self.starts, axis=1)
        found, called = np.cumsum(positive, axis=1), np.cumsum(both, axis=1)
        if not found.shape[1]:
            return np.full((len(weights), 2), np.nan)
        positives, negatives = found[:, -1], called[:, -1] - found[:, -1]
        precision = found / np.where(called > 0, called, 1)
        average = np.einsum("rb,rb->r", positive, precision)
        # A negative loses to the positives above it and half of those tied with it.
        area = np.einsum("rb,rb->r", both - positive, found - positive / 2)
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.stack([area / (positives * negatives), average / positives], axis=1)
        return np.where(((positives > 0) & (negatives > 0))[:, None], values, np.nan)


def auroc_and_average_precision(
    y_true: NDArray[np.floating], score: NDArray[np.floating]
) -> tuple[float, float]:
    """AUROC and average precision of (n,) labels, 1 or 0, and scores; NaN where a class is absent."""
    auroc, precision = Ranking(y_true, score)(np.ones((1, len(y_true))))[0]
    return float(auroc), float(precision)
