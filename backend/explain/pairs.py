"""Pictures of different fruit that are nearly the same: a fruit counted twice, or with two labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.data.check_images import Place
from backend.data.duplicates import NEAR, near_duplicates

_PAIRS_PER_CLUSTER = 250_000


@dataclass(frozen=True)
class Pair:
    """Two fruit with a picture in common, or nearly.

    Attributes:
        first: row of the data set.
        second: row of the data set, above ``first``.
        distance: differing bits, of 256, of their most similar pictures.
        sensor: of those pictures.
    """

    first: int
    second: int
    distance: int
    sensor: str


def similar_fruit(places: list[Place], hashes: NDArray[np.uint64]) -> list[Pair]:
    """Pairs of fruit with nearly the same picture of one sensor, the most alike first.

    Args:
        places: m images.
        hashes: (m, W) their perceptual hashes, words of 64 bits.

    Returns:
        Each pair once. Among very many equal pictures each is paired with the next ones only.
    """
    best: dict[tuple[int, int], Pair] = {}
    sensors = np.array([place.modality for place in places])
    fruit = np.array([place.fruit for place in places], dtype=np.intp)
    for sensor in dict.fromkeys(sensors.tolist()):
        rows = np.flatnonzero(sensors == sensor)
        for cluster in near_duplicates(hashes[rows], fruit[rows]):
            for pair in _close_pairs(rows[cluster], hashes, fruit, sensor):
                key = (pair.first, pair.second)
                if key not in best or pair.distance < best[key].distance:
                    best[key] = pair
    return sorted(best.values(), key=lambda pair: (pair.distance, pair.first, pair.second))


def _close_pairs(
    cluster: NDArray[np.intp], hashes: NDArray[np.uint64], fruit: NDArray[np.intp], sensor: str
) -> list[Pair]:
    found = []
    farthest = min(len(cluster) - 1, max(1, _PAIRS_PER_CLUSTER // len(cluster)))
    for lag in range(1, farthest + 1):
        a, b = cluster[:-lag], cluster[lag:]
        distance = np.bitwise_count(hashes[a] ^ hashes[b]).sum(axis=1)
        for i in np.flatnonzero((distance <= NEAR) & (fruit[a] != fruit[b])):
            first, second = sorted((int(fruit[a[i]]), int(fruit[b[i]])))
            found.append(Pair(first, second, int(distance[i]), sensor))
    return found
