"""Which fruit of the pool a pretraining sees: everything, a share, a composition or a coreset.

A choice that looks at labels uses those of the outer training part alone; one that looks at features uses
the encoders of an earlier pretraining of the same fold (``RunConfig.parent``). Test fruit are not in the
pool to begin with.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.config import CORESETS, RunConfig
from backend.data.dataset import MULTICLASS, FruitDataset
from backend.errors import ConfigError
from backend.evaluation.coreset import choose
from backend.training.embedding import Embed

Rows = NDArray[np.int64]
CLUSTERS = 10
"""Pseudo-labels of a balanced selection without labels, as many as there are clusters."""


def select_pool(
    config: RunConfig, dataset: FruitDataset, pool: Rows, known: Rows, embed: Embed | None, seed: int
) -> Rows:
    """Narrow the pool of a pretraining as ``DataConfig.selection`` says.

    Args:
        config: selection and share.
        dataset: labels and healthy class.
        pool: (n,) rows that may be seen.
        known: rows whose labels may be used: the outer training part.
        embed: rows to features, of an earlier pretraining; None = there is none.
        seed: of every draw.

    Returns:
        Rows of ``pool``, sorted.

    Raises:
        ConfigError: fewer than two fruit are left, or the selection needs features and there are none.
    """
    name = config.data.selection
    if name in (*CORESETS, "balanced_pseudo") and embed is None:
        raise ConfigError(
            f"selection {name!r} without features",
            where="DataConfig.selection",
            expected="a parent run whose encoders tell the fruit apart",
            action="name one",
        )
    chosen = _COMPOSITIONS[name](dataset, pool, np.intersect1d(pool, known), embed, seed)
    budget = max(2, round(config.data.selection_share * len(pool)))
    if len(chosen) < 2:
        raise ConfigError(
            f"selection {name!r} leaves {len(chosen)} of {len(pool)} fruit",
            where="DataConfig.selection",
            expected="2 or more",
            action="choose another selection",
        )
    if budget < len(chosen):
        chosen = _shrink(name, chosen, budget, embed, seed)
    return np.sort(chosen)


def _shrink(name: str, rows: Rows, budget: int, embed: Embed | None, seed: int) -> Rows:
    """``budget`` of the rows: a coreset where the selection is one, else a random draw."""
    if name in CORESETS and embed is not None:
        return rows[choose(name, embed(rows), budget, seed=seed)]
    return np.random.default_rng(seed).permutation(rows)[:budget]


def _everything(dataset: FruitDataset, pool: Rows, known: Rows, embed: Embed | None, seed: int) -> Rows:
    return pool


def _healthy(dataset: FruitDataset, pool: Rows, known: Rows, embed: Embed | None, seed: int) -> Rows:
    return known[sound_fruit(dataset, dataset.labels[known])]


def _defective(dataset: FruitDataset, pool: Rows, known: Rows, embed: Embed | None, seed: int) -> Rows:
    return known[~sound_fruit(dataset, dataset.labels[known])]


def _balanced(dataset: FruitDataset, pool: Rows, known: Rows, embed: Embed | None, seed: int) -> Rows:
    """As many fruit of every class, or with every defect and sound, as the rarest of these has."""
    labels = dataset.labels[known]
    table = labels == 1
    if dataset.task != MULTICLASS:
        table = np.column_stack([table, sound_fruit(dataset, labels)])
    members = [np.flatnonzero(column) for column in table.T if column.any()]
    return known[_equal_shares(members, seed)] if members else known[:0]


def _balanced_pseudo(dataset: FruitDataset, pool: Rows, known: Rows, embed: Embed | None, seed: int) -> Rows:
    from sklearn.cluster import MiniBatchKMeans

    assert embed is not None
    clusters = min(CLUSTERS, len(pool))
    model = MiniBatchKMeans(n_clusters=clusters, n_init=3, random_state=seed)
    cluster = model.fit_predict(embed(pool))
    return pool[_equal_shares([np.flatnonzero(cluster == name) for name in np.unique(cluster)], seed)]


def _equal_shares(members: list[NDArray[np.intp]], seed: int) -> NDArray[np.intp]:
    """The union of as many members of every class as the smallest class has, drawn at random."""
    rng = np.random.default_rng(seed)
    size = min(len(rows) for rows in members)
    return np.unique(np.concatenate([rng.choice(rows, size, replace=False) for rows in members]))


_COMPOSITIONS = {
    "all": _everything,
    "healthy": _healthy,
    "defective": _defective,
    "balanced": _balanced,
    "balanced_pseudo": _balanced_pseudo,
    **dict.fromkeys(CORESETS, _everything),
}


def sound_fruit(dataset: FruitDataset, labels: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(n,) fruit that are known to be healthy, from their (n, D) labels.

    Multiclass: of the healthy class, where there is one. Multilabel: labelled for some defect and positive
    for none.
    """
    if dataset.task == MULTICLASS:
        healthy = [name == dataset.healthy for name in dataset.defect_names]
        return np.logical_or.reduce(labels[:, healthy] == 1, axis=1)
    sound: NDArray[np.bool_] = ~np.isnan(labels).all(axis=1) & ~(labels == 1).any(axis=1)
    return sound
