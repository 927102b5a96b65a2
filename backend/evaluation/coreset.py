"""Which fruit to label or to pretrain on, chosen from embeddings without labels.

- ``random``: the reference every other choice must beat;
- ``k_centre``: greedy k-centre (Sener & Savarese 2018, "Active learning for convolutional neural networks:
  a core-set approach", algorithm 1): each next fruit is the one farthest from all chosen, which covers
  the rare and the odd;
- ``typiclust``: the most typical fruit of each cluster (Hacohen, Dekel & Weinshall 2022, "Active learning on
  a budget: opposite strategies suit high and low budgets", section 3): typicality = 1 / mean
  distance to the 20 nearest of the cluster. Made for self-supervised embeddings and small budgets.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from backend.errors import ConfigError, unknown_name
from backend.evaluation.clustering import RESTARTS
from backend.evaluation.features import Features, l2_normalise, nearest

Chooser = Callable[[Features, int, int], NDArray[np.intp]]

TYPICAL_NEIGHBOURS = 20
MAX_CLUSTERS = 500


def _random(features: Features, budget: int, seed: int) -> NDArray[np.intp]:
    return np.random.default_rng(seed).permutation(len(features))[:budget]


def _k_centre(features: Features, budget: int, seed: int) -> NDArray[np.intp]:
    unit = l2_normalise(features)
    # The first centre is the fruit nearest the mean, so the choice does not hang on a random start.
    chosen = [int(np.argmax(unit @ unit.mean(axis=0)))]
    similarity = unit @ unit[chosen[0]]
    for _ in range(budget - 1):
        similarity[chosen[-1]] = np.inf
        chosen.append(int(np.argmin(similarity)))
        np.maximum(similarity, unit @ unit[chosen[-1]], out=similarity)
    return np.array(chosen, dtype=np.intp)


def _typiclust(features: Features, budget: int, seed: int) -> NDArray[np.intp]:
    unit = l2_normalise(features)
    clusters = _clusters(unit, min(budget, MAX_CLUSTERS), seed)
    queues = [_by_typicality(unit, np.flatnonzero(clusters == c)) for c in np.unique(clusters)]
    queues.sort(key=len, reverse=True)
    # Round by round the largest clusters first, each giving its most typical fruit that is left.
    depth = max(len(queue) for queue in queues)
    ordered = [queue[level] for level in range(depth) for queue in queues if level < len(queue)]
    return np.array(ordered[:budget], dtype=np.intp)


def _clusters(unit: Features, k: int, seed: int) -> NDArray[np.intp]:
    from sklearn.cluster import KMeans, MiniBatchKMeans

    # As in the paper: exact k-means for few clusters, mini-batches where it would take minutes.
    model = (
        KMeans(n_clusters=k, n_init=RESTARTS, random_state=seed)
        if k <= 50
        else MiniBatchKMeans(n_clusters=k, n_init=1, batch_size=5000, random_state=seed)
    )
    return np.asarray(model.fit_predict(unit), dtype=np.intp)


def _by_typicality(unit: Features, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """The rows of one cluster, most typical first."""
    if len(rows) < 3:
        return rows
    distance, _ = nearest(unit[rows], unit[rows], min(TYPICAL_NEIGHBOURS, len(rows) - 1), skip_self=True)
    return rows[np.argsort(distance.mean(axis=1), kind="stable")]


CHOOSERS: dict[str, Chooser] = {"random": _random, "k_centre": _k_centre, "typiclust": _typiclust}


def choose(name: str, features: Features, budget: int, *, seed: int) -> NDArray[np.intp]:
    """The rows of a subset.

    Args:
        name: a name from ``CHOOSERS``.
        features: (n, F) embeddings of fruit that may be chosen: never test fruit.
        budget: fruit to choose, 1 to n.
        seed: of the clusters or the draw.

    Returns:
        (budget,) distinct rows in the order of choice, so a smaller budget of ``random`` and ``k_centre``
        is a prefix.

    Raises:
        ConfigError: unknown name, or a budget outside 1 to n.
    """
    if name not in CHOOSERS:
        raise unknown_name("coreset", name, list(CHOOSERS))
    if not 1 <= budget <= len(features):
        raise ConfigError(f"a coreset of {budget} fruit", expected=f"1 to {len(features)}")
    return CHOOSERS[name](features, budget, seed)
