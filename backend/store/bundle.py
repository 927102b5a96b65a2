"""What a worker hands to the writer: plain values and arrays, no database, no torch.

A worker trains one fold and returns a ``FoldBundle``. The driver, the only writer, stores it in one
transaction. When the last fold of a run is in, the pooled predictions give the run's own metrics.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class CurvePoint:
    """One value of one training curve; ``epoch`` counts from 1."""

    epoch: int
    split: str
    metric: str
    value: float


@dataclass(frozen=True)
class MetricValue:
    """One metric. ``defect`` None = over all defects; ``value`` None = undefined, with the reason."""

    metric: str
    value: float | None
    defect: str | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Predictions:
    """Held-out predictions.

    Attributes:
        fruit_ids: n identifiers.
        defects: D defect names (multilabel) or class names (multiclass, healthy class included).
        y_true: (n, D) float, 1, 0 or NaN where unlabelled.
        score: (n, D) float, probability 0 to 1.
        y_pred: (n, D) uint8, the decision; in a multiclass data set exactly one 1 a row.
    """

    fruit_ids: tuple[str, ...]
    defects: tuple[str, ...]
    y_true: NDArray[np.float32]
    score: NDArray[np.float32]
    y_pred: NDArray[np.uint8]

    def __post_init__(self) -> None:
        """Check that the shapes agree."""
        shape = (len(self.fruit_ids), len(self.defects))
        for name in ("y_true", "score", "y_pred"):
            assert getattr(self, name).shape == shape, (
                f"{name}: {getattr(self, name).shape}, expected {shape}"
            )

    @staticmethod
    def concatenate(parts: list[Predictions]) -> Predictions:
        """The pooled predictions of several folds (same defects, disjoint fruit)."""
        assert parts, "nothing to pool"
        assert all(part.defects == parts[0].defects for part in parts), "folds disagree about the defects"
        return Predictions(
            fruit_ids=tuple(name for part in parts for name in part.fruit_ids),
            defects=parts[0].defects,
            y_true=np.concatenate([part.y_true for part in parts]),
            score=np.concatenate([part.score for part in parts]),
            y_pred=np.concatenate([part.y_pred for part in parts]),
        )


@dataclass(frozen=True)
class ArtifactData:
    """A file to keep: ``name`` is relative to the run's artifact folder."""

    name: str
    kind: str
    data: bytes


@dataclass(frozen=True)
class AttributionData:
    """One explanation image; ``name`` is that of an artifact in the same bundle.

    ``scores`` holds what ``docs/stored-results.md`` names: ``outcome``, ``score`` and how well it points.
    """

    fruit_id: str
    defect: str
    modality: str
    view: str
    name: str
    scores: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class EmbeddingData:
    """A 2-D projection of features: ``xy`` is (n, 2)."""

    projection: str
    fruit_ids: tuple[str, ...]
    xy: NDArray[np.float32]


@dataclass(frozen=True)
class NeighbourData:
    """The nearest fruit of each fruit, nearest first: ``neighbours`` and ``similarity`` are (n, k)."""

    fruit_ids: tuple[str, ...]
    neighbours: tuple[tuple[str, ...], ...]
    similarity: NDArray[np.float32]


@dataclass(frozen=True)
class FoldBundle:
    """Everything one fold of one run produced.

    Attributes:
        fold: index of the outer fold, 0-based.
        seconds: wall time of the fold.
        predictions: of the held-out fruit; None for pretraining and tuning.
        metrics: of this fold.
        curves: training curves.
        artifacts: files to keep (checkpoints, configs).
        notes: (key, value) facts about the fold worth keeping: chosen thresholds, kept epoch, halved batch.
        pruned: why the fold was stopped before its end; empty where it was not.
    """

    fold: int
    seconds: float
    predictions: Predictions | None = None
    metrics: tuple[MetricValue, ...] = ()
    curves: tuple[CurvePoint, ...] = ()
    artifacts: tuple[ArtifactData, ...] = ()
    attributions: tuple[AttributionData, ...] = ()
    embeddings: tuple[EmbeddingData, ...] = ()
    notes: tuple[tuple[str, str], ...] = ()
    pruned: str = ""
