"""Findings about a data set as rows of the store: what deserves a second look, the strongest first.

Suggestions for people: nothing is changed or left out because of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from backend.data.dataset import MULTICLASS, FruitDataset
from backend.explain.pairs import Pair
from backend.explain.sensors import Drift, SensorReadings
from backend.store.rows import FindingRow

NONE = "none"
"""What a fruit without a defect is given in the place of the defect's name."""


def sensor_findings(sensors: Sequence[SensorReadings]) -> list[FindingRow]:
    """One row a sensor, its ``value`` the mean."""
    return [
        FindingRow(
            "sensor",
            sensor.name,
            value=sensor.mean,
            detail={name: getattr(sensor, name) for name in ("mean", "std", "missing", "saturated", "dark")}
            | {"channels": dict(zip(sensor.channels, _channel_means(sensor), strict=True))},
        )
        for sensor in sensors
    ]


def _channel_means(sensor: SensorReadings) -> list[float]:
    known = ~np.isnan(sensor.means).any(axis=1)
    return list(sensor.means[known].mean(axis=0)) if known.any() else [float("nan")] * len(sensor.channels)


def drift_findings(drifts: Sequence[Drift]) -> list[FindingRow]:
    """One row a sensor and group, its ``value`` the standardised difference from the other groups."""
    return [
        FindingRow(
            "drift",
            f"{drift.sensor} · {drift.group}",
            value=drift.difference,
            detail=dataclasses.asdict(drift),
        )
        for drift in drifts
    ]


def duplicate_findings(pairs: Sequence[Pair], dataset: FruitDataset) -> list[FindingRow]:
    """One row a pair, its ``value`` the Hamming distance; ``detail`` says whether it spans two groups."""
    return [
        FindingRow(
            "duplicate",
            "",
            dataset.fruit_ids[pair.first],
            dataset.fruit_ids[pair.second],
            value=float(pair.distance),
            detail={
                "sensor": pair.sensor,
                "same_group": dataset.groups[pair.first] == dataset.groups[pair.second],
            },
        )
        for pair in pairs
    ]


def conflict_findings(pairs: Sequence[Pair], dataset: FruitDataset) -> list[FindingRow]:
    """Pairs whose labels contradict each other: a row for each defect in question, or one for two classes."""
    rows = []
    for pair in pairs:
        for subject, given, other in _conflicts(dataset, pair.first, pair.second):
            rows.append(
                FindingRow(
                    "label_conflict",
                    subject,
                    dataset.fruit_ids[pair.first],
                    dataset.fruit_ids[pair.second],
                    value=float(pair.distance),
                    detail={"given": given, "other": other, "sensor": pair.sensor},
                )
            )
    return rows


def _conflicts(dataset: FruitDataset, first: int, second: int) -> list[tuple[str, str, str]]:
    """(defect or class, label of the first, label of the second) where both are labelled and differ."""
    a, b, names = dataset.labels[first], dataset.labels[second], dataset.defect_names
    differ = np.flatnonzero(~np.isnan(a) & ~np.isnan(b) & (a != b))
    if dataset.task == MULTICLASS:
        if not len(differ):
            return []
        given, other = names[int(np.nanargmax(a))], names[int(np.nanargmax(b))]
        return [(given, given, other)]
    return [(names[j], names[j] if a[j] else NONE, names[j] if b[j] else NONE) for j in differ]


def outlier_findings(
    fruit_ids: Sequence[str], ratio: Sequence[float], run_id: str | None
) -> list[FindingRow]:
    """One row a fruit, its ``value`` the distance to its neighbours in units of the median fruit's."""
    return [
        FindingRow("outlier", "", fruit, value=float(value), run_id=run_id)
        for fruit, value in zip(fruit_ids, ratio, strict=True)
    ]
