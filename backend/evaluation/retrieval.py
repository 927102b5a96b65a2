"""Retrieval protocol: does a query fruit find its like in a gallery of labelled fruit?

Gallery = training part, query = held-out part, ranked by cosine similarity; a query never meets fruit of its
own group. Relevant is every gallery fruit that shares a class with the query: its class, one of its
defects, or having none. Queries without a relevant gallery fruit are left out and counted.

mAP is the mean over queries of the average precision of the whole ranking: the mean of the precision at
each relevant fruit, divided by all relevant fruit of the gallery (Manning, Raghavan & Schütze 2008,
"Introduction to Information Retrieval", eq. 8.8). R@k is the share of queries with a relevant fruit among
their k nearest, as usual in metric learning.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.evaluation.features import (
    Groups,
    Part,
    known_labels,
    l2_normalise,
    memberships,
    row_blocks,
)
from backend.store.bundle import MetricValue


@dataclass(frozen=True)
class Retrieval:
    """What the queries found.

    Attributes:
        average_precision: (q,) of each counted query.
        first_hit: (q,) rank of its first relevant fruit, from 1.
        left_out: queries that are unlabelled or have nothing relevant in the gallery.
    """

    average_precision: NDArray[np.float64]
    first_hit: NDArray[np.intp]
    left_out: int

    def recall_at(self, k: int) -> float:
        """Share of queries with a relevant fruit among the k nearest; NaN without a query."""
        return float((self.first_hit <= k).mean()) if len(self.first_hit) else float("nan")

    def metrics(self) -> list[MetricValue]:
        """``retrieval_map``, ``retrieval_r1`` and ``retrieval_r5``."""
        if not len(self.first_hit):
            reason = "no labelled query has a like in the gallery"
            return [MetricValue(f"retrieval_{name}", None, reason=reason) for name in ("map", "r1", "r5")]
        return [
            MetricValue("retrieval_map", float(self.average_precision.mean())),
            MetricValue("retrieval_r1", self.recall_at(1)),
            MetricValue("retrieval_r5", self.recall_at(5)),
        ]


def retrieve(
    gallery: Part,
    query: Part,
    *,
    task: str,
    gallery_groups: Groups | None = None,
    query_groups: Groups | None = None,
) -> Retrieval:
    """Rank the gallery for each query.

    Args:
        gallery: features (g, F) and labels (g, D).
        query: features (m, F) and labels (m, D).
        task: ``multilabel`` or ``multiclass``.
        gallery_groups: (g,) groups; with ``query_groups``, pairs of one group are left out.
        query_groups: (m,) groups.
    """
    keep, ask = known_labels(gallery.labels), known_labels(query.labels)
    base, queries = l2_normalise(gallery.features[keep]), l2_normalise(query.features[ask])
    base_member, query_member = memberships(gallery.labels[keep], task), memberships(query.labels[ask], task)
    precisions: list[NDArray[np.float64]] = []
    hits: list[NDArray[np.intp]] = []
    for rows in row_blocks(len(queries), len(base)):
        similarity = queries[rows] @ base.T
        relevant = query_member[rows] @ base_member.T > 0
        if gallery_groups is not None and query_groups is not None:
            same = query_groups[ask][rows, None] == gallery_groups[keep]
            similarity[same], relevant[same] = -np.inf, False
        asked = relevant.any(axis=1)
        precision, first = _ranked(similarity[asked], relevant[asked])
        precisions.append(precision)
        hits.append(first)
    counted = np.concatenate([*hits, np.zeros(0, np.intp)])
    return Retrieval(np.concatenate([*precisions, np.zeros(0)]), counted, len(query.labels) - len(counted))


def _ranked(
    similarity: NDArray[np.float32], relevant: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Average precision and rank of the first hit, (b,), of rows that have a relevant column."""
    order = np.argsort(-similarity, axis=1, kind="stable")
    found = np.take_along_axis(relevant, order, axis=1)
    precision = np.cumsum(found, axis=1) / np.arange(1, found.shape[1] + 1)
    average = (precision * found).sum(axis=1) / found.sum(axis=1)
    return average, found.argmax(axis=1) + 1
