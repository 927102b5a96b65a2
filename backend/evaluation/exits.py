"""The sorter's exits: what the machine does with a fruit, whatever the defect is called.

A fruit with an internal defect cannot be sold; one that only looks bad goes to another market. Every
defect that is not internal counts as external here, so a fruit is a-quality only without any defect.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.data.dataset import INTERNAL, MULTICLASS

A_QUALITY, EXTERNAL_ONLY, INTERNAL_DEFECT = EXITS = ("a-quality", "external only", "internal")


def exits(
    labels: NDArray[np.floating], defects: tuple[str, ...], *, task: str, healthy: str, kinds: dict[str, str]
) -> NDArray[np.float32]:
    """The exit of each fruit.

    Args:
        labels: (n, D), 1, 0 or NaN where unlabelled; truth or decisions.
        defects: D names; in a multiclass data set the classes, the healthy one included.
        task: ``multilabel`` or ``multiclass``.
        healthy: name of the class without defects.
        kinds: name to ``internal``, ``external`` or ``other``.

    Returns:
        (n, 3) one-hot over ``EXITS``; NaN rows where missing labels leave the exit open.
    """
    columns = [j for j, name in enumerate(defects) if task != MULTICLASS or name != healthy]
    internal = np.array([kinds.get(defects[j]) == INTERNAL for j in columns], dtype=bool)
    values = labels[:, columns]
    positive, unknown = values == 1, np.isnan(values)
    is_internal = positive[:, internal].any(axis=1)
    maybe_internal = unknown[:, internal].any(axis=1) & ~is_internal
    is_defect = positive.any(axis=1)
    is_open = maybe_internal | (~is_defect & unknown.any(axis=1))
    chosen = np.where(is_internal, 2, np.where(is_defect, 1, 0))
    result = np.eye(3, dtype=np.float32)[chosen]
    result[is_open] = np.nan
    return result
