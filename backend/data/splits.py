"""Who is trained on and who is tested on: stratified, grouped, a function of (labels, groups, seed) alone.

Three nested draws, all from ``labels`` (n, D) with NaN = unlabelled and ``groups`` (n,):

- ``outer_folds``: each labelled fruit is tested once; what a reported number rests on.
- ``inner_split``: a part of an outer training part, for early stopping, thresholds and hyper-parameters. It
  never looks at the labels of other fruit, so no choice can depend on test labels.
- ``label_fraction``: how many of the training labels a label-efficiency run may use.

How fruit are dealt into even parts is in ``backend.data.stratify``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backend.config import derive_seed
from backend.data.problem import MANIFEST_FILE
from backend.data.stratify import best_part, stratify
from backend.errors import ConfigError, DataError

Labels = NDArray[np.float32]
Indices = NDArray[np.intp]

NOT_TESTED = -1
"""The fold of fruit that are never tested: unlabelled, or outside the test part of a fixed split."""


def outer_folds(
    labels: Labels,
    groups: Sequence[str],
    folds: int,
    seed: int,
    fixed_split: Sequence[str] | None = None,
) -> Indices:
    """The outer fold in which each labelled fruit is tested.

    Args:
        labels: (n, D) 1, 0 or NaN = unlabelled.
        groups: n group names; a group never straddles two folds.
        folds: K, 2 or more; with ``fixed_split`` there is one fold whatever K is.
        seed: of the split; runs that share it pair.
        fixed_split: n words ``train``, ``val``, ``test`` or ``""``; None = cross-validate.

    Returns:
        (n,) fold from 0, or ``NOT_TESTED``.

    Raises:
        ConfigError: fewer than 2 folds.
        DataError: no labelled fruit, or fewer labelled groups than folds.
    """
    labelled = np.flatnonzero(~np.isnan(labels).all(axis=1))
    if len(labelled) == 0:
        raise DataError(
            "no labelled fruit",
            where=MANIFEST_FILE,
            expected="labels for some fruit",
            action="fill in some labels",
        )
    result = np.full(len(labels), NOT_TESTED, dtype=np.intp)
    if fixed_split is not None:
        tested = labelled[np.asarray(fixed_split)[labelled] == "test"]
        if len(tested) == 0:
            raise DataError(
                "no labelled fruit in the test part of the fixed split",
                where=f"{MANIFEST_FILE}, column split",
                expected="labels for fruit whose split is test",
                action="add some, or remove the column to cross-validate",
            )
        result[tested] = 0
        return result
    if folds < 2:
        raise ConfigError(f"{folds} folds", where="DataConfig.folds", expected="2 or more")
    result[labelled] = stratify(
        labels[labelled], np.asarray(groups)[labelled], folds, ("outer", seed), "outer folds"
    )
    return result


def inner_split(
    labels: Labels,
    groups: Sequence[str],
    train_index: ArrayLike,
    seed: int,
    share: float = 0.2,
    fixed_val: ArrayLike | None = None,
) -> tuple[Indices, Indices]:
    """Split the training part of an outer fold into a fitting and a validation part.

    Args:
        labels: (n, D); only the rows in ``train_index`` are looked at.
        groups: n group names; a group never straddles the parts, unless it is the only one.
        train_index: rows of the outer training part; unlabelled ones are left out of both parts.
        seed: of the draw.
        share: of the training part that validates, above 0 to 0.5; 1 / share is rounded to whole folds.
        fixed_val: (n,) True for the ``val`` rows of a fixed split; these validate if any of them are in
            ``train_index``, and nothing is drawn.

    Returns:
        Row numbers of both parts, ascending.

    Raises:
        ConfigError: ``share`` out of range.
        DataError: fewer than two labelled fruit in ``train_index``.
    """
    if not 0 < share <= 0.5:
        raise ConfigError(f"{share!r}", where="inner_split share", expected="above 0 to 0.5")
    train = np.sort(np.asarray(train_index, dtype=np.intp))
    train = train[~np.isnan(labels[train]).all(axis=1)]
    validates = np.zeros(len(train), dtype=bool)
    if fixed_val is not None:
        validates = np.asarray(fixed_val, dtype=bool)[train]
    if not validates.any():
        names = np.asarray(groups)[train]
        if len(np.unique(names)) == 1:  # whoever tests on every other group can validate on its fruit alone
            names = train.astype(str)
        folds = max(2, min(round(1 / share), len(np.unique(names))))
        parts = stratify(labels[train], names, folds, ("inner", seed), "a validation part")
        validates = parts == best_part(labels[train] == 1, parts, folds)
    return train[~validates], train[validates]


def label_fraction(
    labels: Labels, groups: Sequence[str], train_index: ArrayLike, fraction: float, seed: int
) -> Indices:
    """The training fruit whose labels a label-efficiency run may use.

    The fruit are put in one order per seed and the first ones are taken, so 5 % is part of 10 %. First comes
    one positive of each defect (and one fruit without any), so nothing is impossible to learn, and a fruit of
    a second group, so that one of them can validate; then group after group, as labels arrive pallet by
    pallet, with the groups of each rare defect spread evenly.

    Args:
        labels: (n, D); only the rows in ``train_index`` are looked at.
        groups: n group names.
        train_index: rows that may be drawn; unlabelled ones are left out.
        fraction: above 0 to 1, of the labelled rows.
        seed: of the order.

    Returns:
        Row numbers, ascending; more than the fraction where the first ones need more.

    Raises:
        ConfigError: ``fraction`` out of range.
        DataError: no labelled fruit in ``train_index``.
    """
    if not 0 < fraction <= 1:
        raise ConfigError(f"{fraction!r}", where="DataConfig.label_fraction", expected="above 0 to 1")
    train = np.sort(np.asarray(train_index, dtype=np.intp))
    train = train[~np.isnan(labels[train]).all(axis=1)]
    if len(train) == 0:
        raise DataError(
            "no labelled fruit in the training part", expected="at least one", action="label some"
        )
    rng = np.random.default_rng(derive_seed("fraction", seed))
    positive = labels[train] == 1
    _, group = np.unique(np.asarray(groups)[train], return_inverse=True)
    group_rank = np.argsort(stratified_order(_rarest(_any_in_group(positive, group)), rng))
    order = np.lexsort((rng.permutation(len(train)), group_rank[group]))
    wanted = np.column_stack([positive, ~positive.any(axis=1)])
    first = [order[np.argmax(column[order])] for column in wanted.T if column.any()]
    elsewhere = order[group[order] != group[first[0]]]
    if len(elsewhere) and len(np.unique(group[first])) == 1:
        first.append(elsewhere[0])  # one group could not be split into a fitting and a validation part
    order = np.array(list(dict.fromkeys([*first, *order])), dtype=np.intp)
    count = max(round(fraction * len(train)), len(set(first)))
    return train[np.sort(order[:count])]


def stratified_order(strata: NDArray[np.intp], rng: np.random.Generator) -> Indices:
    """A random order of which every beginning holds each stratum in about its share.

    Args:
        strata: (n,) stratum of each item.
        rng: source of chance.

    Returns:
        (n,) item numbers.
    """
    key = np.empty(len(strata))
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        key[members] = (rng.permutation(len(members)) + rng.random(len(members))) / len(members)
    return np.argsort(key, kind="stable")


def without_groups_of(index: ArrayLike, groups: Sequence[str], test_index: ArrayLike) -> Indices:
    """``index`` without the fruit that share a group with a test fruit.

    Unlabelled fruit are in no fold, yet pretraining on the pallet of a test fruit would be a leak.
    """
    rows = np.asarray(index, dtype=np.intp)
    names = np.asarray(groups)
    tested = np.unique(names[np.asarray(test_index, dtype=np.intp)])
    return rows[~np.isin(names[rows], tested)]


def _rarest(positive: NDArray[np.bool_]) -> NDArray[np.intp]:
    """(n,) column of each row's rarest positive; D where it has none."""
    counts = positive.sum(axis=0)
    rarity = np.where(positive, counts, len(positive) + 1)
    return np.where(positive.any(axis=1), rarity.argmin(axis=1), positive.shape[1]).astype(np.intp)


def _any_in_group(positive: NDArray[np.bool_], group: NDArray[np.intp]) -> NDArray[np.bool_]:
    """(G, D) whether any fruit of a group has the defect."""
    found = np.zeros((group.max() + 1, positive.shape[1]), dtype=bool)
    np.logical_or.at(found, group, positive)
    return found
