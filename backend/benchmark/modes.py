"""How many clusters a cloud of points has, whatever their shapes.

Chazal, Guibas, Oudot and Skraba 2013, "Persistence-based clustering in Riemannian manifolds" (ToMATo): points
climb to denser neighbours until they reach a peak, and a peak that stands out too little over the pass to a
higher one belongs to that one. k-means with the best silhouette counts groups of clusters where
clusters are long or lie in groups.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.evaluation.features import nearest

PROMINENCE = 2.0
"""Density of a peak over that of its highest pass."""

_SHARE = 0.02
"""Smaller groups, as shares of all points, are not counted."""

_CLIMBED = 20
"""Nearest points among which a point looks for the way up."""


def count_modes(points: NDArray[np.float32]) -> int:
    """The number of peaks of the density of (n, d) points.

    Density at a point is by the distance to its hundredth neighbour, or its (n / 20)th where points are few.
    """
    count, dimensions = points.shape
    scale = min(max(count // 20, 10), 100, count - 1)
    distance, index = nearest(points, points, scale, skip_self=True)
    density = -dimensions * np.log(distance[:, -1].astype(np.float64) + 1e-9)
    peak = np.full(count, -1)
    for point in np.argsort(-density, kind="stable"):
        higher = {_top(peak, near) for near in index[point, :_CLIMBED] if peak[near] >= 0}
        ways = sorted(higher, key=lambda found: -density[found])
        peak[point] = ways[0] if ways else point
        for lower in ways[1:]:
            if density[lower] - density[point] < np.log(PROMINENCE):
                peak[lower] = ways[0]
    tops = [_top(peak, point) for point in range(count)]
    return int((np.unique(tops, return_counts=True)[1] >= _SHARE * count).sum())


def _top(peak: NDArray[np.int_], point: int) -> int:
    """Where the climb from a point ends."""
    while peak[point] != point:
        peak[point] = peak[peak[point]]
        point = peak[point]
    return int(point)
