"""Near-duplicates among perceptual hashes, without comparing all pairs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

NEAR = 12
"""Most differing bits, of 256, of near-duplicates. No two of 1,174 strawberries (every third) differ in
fewer than 52, of 4,000 MNIST digits in fewer than 20 and of 4,800 synthetic avocados of different pallets in
fewer than 24; a copy that was brightened or saved as JPEG differs in about 5."""

_LONGEST_LAG = 1000


def near_duplicates(hashes: NDArray[np.uint64], groups: NDArray[np.integer]) -> list[list[int]]:
    """Images of different groups whose hashes differ in at most ``NEAR`` bits.

    Splitting a hash into NEAR + 1 parts leaves one part equal in any such pair, so only images that share
    a part are compared: sorting instead of n^2 comparisons. Of more than 1,000 images that share a part,
    each is compared with the next 1,000.

    Args:
        hashes: (n, W) words of 64 bits.
        groups: (n,) group numbers.

    Returns:
        Clusters of at least two positions, ascending, linked by such pairs.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = [pair for part in _parts(hashes) for pair in _close_pairs(part, hashes, groups)]
    if not pairs:
        return []
    left, right = np.concatenate(pairs, axis=1)
    links = coo_array((np.ones(len(left), bool), (left, right)), shape=(len(hashes), len(hashes)))
    _, labels = connected_components(links, directed=False)
    clusters: dict[int, list[int]] = {}
    for position in np.unique([left, right]):
        clusters.setdefault(int(labels[position]), []).append(int(position))
    return list(clusters.values())


def _parts(hashes: NDArray[np.uint64]) -> Iterator[NDArray[np.uint64]]:
    """NEAR + 1 keys of (n,): every (NEAR + 1)th bit, because neighbouring frequencies go together."""
    bits = np.unpackbits(hashes.view(np.uint8), axis=1)
    for part in range(NEAR + 1):
        chosen = bits[:, part :: NEAR + 1].astype(np.uint64)
        yield (chosen << np.arange(chosen.shape[1], dtype=np.uint64)).sum(axis=1)


def _close_pairs(
    keys: NDArray[np.uint64], hashes: NDArray[np.uint64], groups: NDArray[np.integer]
) -> Iterator[NDArray[np.intp]]:
    """(2, m) positions of images with equal keys, different groups and close hashes, once a lag."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    left = np.arange(len(keys))
    for lag in range(1, _LONGEST_LAG + 1):
        # In sorted keys a run that ends before this lag has ended for every longer one.
        left = left[left < len(keys) - lag]
        left = left[ordered[left] == ordered[left + lag]]
        if not left.size:
            return
        a, b = order[left], order[left + lag]
        a, b = (side[groups[a] != groups[b]] for side in (a, b))
        near = np.bitwise_count(hashes[a] ^ hashes[b]).sum(axis=1) <= NEAR
        if near.any():
            yield np.stack([a[near], b[near]])
