"""Can the pallet be told from the features? What a model knows of origin it did not learn from quality."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PARTS = 5
"""Parts of the cross-validation, where groups are large enough."""

MOST_GROUPS = 50
MOST_FRUIT = 10_000
_COMPONENTS = 50
_ITERATIONS = 300


@dataclass(frozen=True)
class GroupProbe:
    """How often a logistic regression names the right group of a fruit it was not fitted on.

    Attributes:
        accuracy: 0 to 1.
        ci_low: lower end of its 95 % interval (Wilson).
        ci_high: upper end.
        chance: accuracy of always naming the largest group.
        groups: groups told apart.
        fruit: fruit asked about.
    """

    accuracy: float
    ci_low: float
    ci_high: float
    chance: float
    groups: int
    fruit: int


def group_probe(
    features: NDArray[np.float32], groups: NDArray[np.str_], *, seed: int = 0
) -> GroupProbe | None:
    """Cross-validate a linear probe that names the group of each fruit.

    Groups too small for every part of the cross-validation are left out, as are all but the 50 largest. An
    accuracy above chance means that pallets look different to the model; why, it does not say: another
    camera setting and another share of defects both do it.

    Args:
        features: (n, F).
        groups: (n,) names.
        seed: of the parts, and of the draw where there are more than 10,000 fruit.

    Returns:
        None where fewer than two groups hold two fruit or more.
    """
    from scipy.stats import binomtest
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    names, index = np.unique(groups, return_inverse=True)
    parts, kept = _large_enough(np.bincount(index, minlength=len(names)))
    if len(kept) < 2:
        return None
    rows = np.flatnonzero(np.isin(index, kept))
    if len(rows) > MOST_FRUIT:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MOST_FRUIT, replace=False))
    target = index[rows]
    smallest_part = len(rows) - -(-len(rows) // parts)
    probe = make_pipeline(
        StandardScaler(),
        PCA(min(_COMPONENTS, features.shape[1], smallest_part), random_state=seed),
        LogisticRegression(max_iter=_ITERATIONS),
    )
    folds = StratifiedKFold(parts, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "The number of unique classes"
        )  # pallets of two fruit are no mistake
        right = int((cross_val_predict(probe, features[rows], target, cv=folds) == target).sum())
    interval = binomtest(right, len(rows)).proportion_ci(method="wilson")
    return GroupProbe(
        accuracy=right / len(rows),
        ci_low=float(interval.low),
        ci_high=float(interval.high),
        chance=float(np.bincount(target).max() / len(rows)),
        groups=len(np.unique(target)),
        fruit=len(rows),
    )


def _large_enough(sizes: NDArray[np.intp]) -> tuple[int, NDArray[np.intp]]:
    """The most parts, up to five, for which two groups have a fruit each, and the largest such groups."""
    for parts in range(PARTS, 1, -1):
        order = np.argsort(-sizes, kind="stable")[:MOST_GROUPS]
        kept = order[sizes[order] >= parts]
        if len(kept) >= 2:
            return parts, kept
    return 2, np.zeros(0, np.intp)
