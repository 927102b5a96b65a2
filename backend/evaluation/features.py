"""What every protocol on frozen features shares: normalising, neighbours, and what makes two fruit alike.

Features are (n, F) float32, labels (n, D) float32 with NaN where unlabelled. Work on pairs of fruit goes
in blocks of rows, so memory grows with the block and not with the square of the data set.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.data.dataset import MULTICLASS

Features = NDArray[np.float32]
Labels = NDArray[np.float32]
Groups = NDArray[np.str_] | NDArray[np.intp]

_BLOCK = 1 << 22
"""Numbers held at once of a matrix of pairs: 16 MB."""


@dataclass(frozen=True)
class Part:
    """One part of a split: features (n, F) and labels (n, D)."""

    features: Features
    labels: Labels

    def __post_init__(self) -> None:
        """Check that the rows agree."""
        assert len(self.features) == len(self.labels), (self.features.shape, self.labels.shape)


@dataclass(frozen=True)
class Outcome:
    """What a protocol says about query fruit.

    Attributes:
        score: (m, D) float32, probability 0 to 1.
        y_pred: (m, D) uint8 decisions.
        thresholds: (D,) from inner validation; NaN in a multiclass data set.
        notes: (key, value) choices worth keeping.
        validation: (v, D) scores of inner validation by the model that was chosen; None = not kept.
    """

    score: NDArray[np.float32]
    y_pred: NDArray[np.uint8]
    thresholds: NDArray[np.float64]
    notes: tuple[tuple[str, str], ...] = ()
    validation: NDArray[np.float32] | None = None


def l2_normalise(features: Features) -> Features:
    """Rows scaled to length 1; a zero row stays zero."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    scaled: Features = (features / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return scaled


def row_blocks(n_rows: int, width: int) -> Iterator[slice]:
    """Slices that cover ``n_rows`` rows, each of at most 16 MB of single-precision numbers."""
    step = max(1, _BLOCK // max(1, width))
    return (slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step))


def nearest(
    query: Features, gallery: Features, k: int, *, skip_self: bool = False
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """The k nearest gallery rows of each query row by Euclidean distance, nearest first.

    Args:
        query: (m, F).
        gallery: (g, F), g at least k (k + 1 with ``skip_self``).
        k: neighbours.
        skip_self: the query is the gallery, and a row is no neighbour of its own.

    Returns:
        Distances (m, k), computed from differences so that near ones are exact, and rows (m, k).
    """
    assert 0 < k <= len(gallery) - skip_self, f"{k} neighbours of {len(gallery)} rows"
    lengths = np.einsum("ij,ij->i", gallery, gallery)
    distance = np.empty((len(query), k), np.float32)
    index = np.empty((len(query), k), np.intp)
    for rows in row_blocks(len(query), max(len(gallery), k * gallery.shape[1])):
        pairs = lengths - 2 * (query[rows] @ gallery.T)
        if skip_self:
            pairs[np.arange(len(pairs)), np.arange(rows.start, rows.stop)] = np.inf
        near = np.argpartition(pairs, k - 1, axis=1)[:, :k]
        exact = np.linalg.norm(query[rows, None] - gallery[near], axis=2)
        order = np.lexsort((near, exact), axis=1)
        distance[rows] = np.take_along_axis(exact, order, axis=1)
        index[rows] = np.take_along_axis(near, order, axis=1)
    return distance, index


def known_labels(labels: Labels) -> NDArray[np.bool_]:
    """(n,) True where it is known what a fruit is: it has a defect, or every defect is labelled 0."""
    known: NDArray[np.bool_] = (labels == 1).any(axis=1) | ~np.isnan(labels).any(axis=1)
    return known


def memberships(labels: Labels, task: str) -> NDArray[np.float32]:
    """The classes each fruit belongs to, as 0 and 1.

    Two fruit are alike where they share a class: in a multilabel data set a defect, or that both have none.

    Returns:
        (n, C): a multiclass data set's D classes; a multilabel one's "no defect", then its D defects.
        Rows that are not ``known_labels`` are all zero.
    """
    member = (labels == 1).astype(np.float32)
    if task == MULTICLASS:
        return member
    sound = known_labels(labels) & ~member.any(axis=1)
    return np.concatenate([sound[:, None].astype(np.float32), member], axis=1)


def class_index(labels: Labels) -> NDArray[np.intp]:
    """(n,) one number for each distinct set of defects (or class), -1 where it is not known."""
    known = known_labels(labels)
    index = np.full(len(labels), -1, np.intp)
    if known.any():
        index[known] = np.unique(labels[known] == 1, axis=0, return_inverse=True)[1].ravel()
    return index
