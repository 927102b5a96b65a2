"""A data set in memory: what the manifest says, as arrays. Pixels live in the cache.

The one shape for both tasks: ``labels`` is (n, D). In a multilabel data set D counts the defects and
a row may hold several 1s; in a multiclass one D counts the classes, the healthy class included, and a
labelled row holds exactly one 1. NaN = unlabelled.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.config import PRESSURE

MULTILABEL = "multilabel"
MULTICLASS = "multiclass"
INTERNAL, EXTERNAL, OTHER = "internal", "external", "other"


@dataclass(frozen=True)
class Defect:
    """A defect (or class): its kind decides whether the fruit can be sold, its costs are money a fruit."""

    name: str
    kind: str = OTHER
    cost_miss: float = 1.0
    cost_false_alarm: float = 1.0


@dataclass(frozen=True)
class FruitDataset:
    """One data set folder (contracts section 1).

    Attributes:
        root: the folder.
        name: from dataset.toml.
        task: ``multilabel`` or ``multiclass``.
        healthy: name of the class without defects.
        synthetic: whether the fruit are drawn by a program.
        description: for people.
        licence: of the images.
        source: where they come from.
        defects: D defects or classes, in the order of dataset.toml.
        fruit_ids: n identifiers, in the order of the manifest.
        groups: n group names (pallet, origin or plant).
        fixed_split: n words ``train``, ``val``, ``test`` or ``""``; None where the manifest has no split.
        labels: (n, D) float32, 1, 0 or NaN.
        pressure_names: P names.
        pressures: (n, P) float32, NaN = missing.
        modalities: image modality to its view names, in the order of the manifest's columns.
        paths: (modality, view) to n paths relative to ``root``; ``""`` = that view is missing.
        dataset_id: content fingerprint of manifest, dataset.toml and every image, 16 hex digits.
        label_version: fingerprint of ids and labels alone, 16 hex digits.
    """

    root: Path
    name: str
    task: str
    healthy: str
    synthetic: bool
    description: str
    licence: str
    source: str
    defects: tuple[Defect, ...]
    fruit_ids: tuple[str, ...]
    groups: tuple[str, ...]
    fixed_split: tuple[str, ...] | None
    labels: NDArray[np.float32]
    pressure_names: tuple[str, ...]
    pressures: NDArray[np.float32]
    modalities: dict[str, tuple[str, ...]]
    paths: dict[tuple[str, str], tuple[str, ...]]
    dataset_id: str
    label_version: str

    def __len__(self) -> int:
        """Number of fruit."""
        return len(self.fruit_ids)

    @property
    def defect_names(self) -> tuple[str, ...]:
        """D names, the order of every (n, D) array."""
        return tuple(defect.name for defect in self.defects)

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """(n,) True where a fruit has at least one label."""
        known: NDArray[np.bool_] = ~np.isnan(self.labels)
        return np.logical_or.reduce(known, axis=1)

    @property
    def sensors(self) -> tuple[str, ...]:
        """Every modality that a model can use, ``pressure`` last; one that is missing everywhere is none."""
        seen = [m for m, views in self.modalities.items() if any(any(self.paths[m, view]) for view in views)]
        return (*seen, *((PRESSURE,) if not np.isnan(self.pressures).all() else ()))
