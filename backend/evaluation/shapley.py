"""What each sensor contributes: its Shapley value over every subset of the sensors.

A sensor that repeats what another one tells loses little when it alone is left out, and so does the other;
the Shapley value (Shapley 1953, "A value for n-person games") shares what they tell together: it is a
sensor's contribution averaged over every order in which the sensors could have been added. The values of
all sensors add up to the value of the whole set.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray


def subsets(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Every subset but the empty one, the smallest first, names in their given order."""
    return [chosen for size in range(1, len(names) + 1) for chosen in combinations(names, size)]


def shapley_weights(names: Sequence[str], coalitions: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """What the value of each coalition counts in the Shapley value of each name.

    Args:
        names: n names.
        coalitions: C subsets of the names; one that is left out counts as worth 0, as the empty one is.

    Returns:
        (n, C): 1 / (n * comb(n - 1, |C| - 1)) where the coalition holds the name, else
        -1 / (n * comb(n - 1, |C|)).
    """
    n = len(names)
    weights = np.empty((n, len(coalitions)))
    for row, name in enumerate(names):
        for column, coalition in enumerate(coalitions):
            size = len(coalition)
            inside = name in coalition
            weights[row, column] = 1 / (n * comb(n - 1, size - 1)) if inside else -1 / (n * comb(n - 1, size))
    return weights
