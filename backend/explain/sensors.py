"""What each sensor delivers: range, gaps and saturation, and how its readings drift from group to group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.config import PRESSURE
from backend.data.cache import LEVELS, ImageCache
from backend.data.dataset import FruitDataset

SIGNIFICANT = 0.05
"""Adjusted p-value below which a drift is reported."""

FEWEST = 3
"""Fruit of a group, and of all others, that a drift needs."""

_FRUIT_PER_READ = 32
_COLOURS = ("red", "green", "blue")


@dataclass(frozen=True)
class SensorReadings:
    """One sensor over all fruit: a camera, or one pressure reading.

    Attributes:
        name: the modality, or ``pressure:READING``.
        channels: names of its C channels.
        means: (n, C) mean of each fruit over its views and pixels; NaN where the sensor has nothing.
        mean: of all pixels, 0 to 1; of a reading in its own unit. NaN where there is none at all.
        std: likewise.
        missing: share of the views (or readings) that are not there.
        saturated: share of pixels at the highest level; None for readings, whose limit is not known.
        dark: share of pixels at the lowest level; None for readings.
    """

    name: str
    channels: tuple[str, ...]
    means: NDArray[np.float64]
    mean: float
    std: float
    missing: float
    saturated: float | None = None
    dark: float | None = None


@dataclass(frozen=True)
class Drift:
    """A group whose readings of one channel lie apart from those of all other groups.

    Attributes:
        sensor: see ``SensorReadings.name``.
        channel: of the sensor.
        group: the group.
        difference: standardised (Hedges' g): its mean minus that of the others, in standard deviations of
            single fruit.
        p_adjusted: of Welch's test, after Holm's correction over every channel and group asked about.
        fruit: of the group.
    """

    sensor: str
    channel: str
    group: str
    difference: float
    p_adjusted: float
    fruit: int


def read_sensors(
    dataset: FruitDataset, cache: ImageCache, tick: Callable[[], None] = lambda: None
) -> list[SensorReadings]:
    """Go once through the cache, a few fruit at a time.

    Args:
        dataset: n fruit.
        cache: their pixels at the working resolution.
        tick: called for every read, as a sign of life.
    """
    cameras = [_read_camera(cache, name, tick) for name in cache.modalities]
    readings = [
        _reading(f"{PRESSURE}:{name}", dataset.pressures[:, column].astype(np.float64))
        for column, name in enumerate(dataset.pressure_names)
    ]
    return cameras + readings


def _read_camera(cache: ImageCache, name: str, tick: Callable[[], None]) -> SensorReadings:
    channels, present = cache.channels[name], cache.present[name]
    histogram = np.zeros(LEVELS, dtype=np.int64)
    means = np.full((len(cache), channels), np.nan)
    for start in range(0, len(cache), _FRUIT_PER_READ):
        rows = np.arange(start, min(start + _FRUIT_PER_READ, len(cache)))
        pixels, there = cache.batch(rows, name), present[rows]
        histogram += np.bincount(pixels[there].ravel(), minlength=LEVELS)
        by_view = pixels.mean(axis=(2, 3), dtype=np.float64) * there[..., None]
        some = there.any(axis=1)
        means[rows[some]] = by_view[some].sum(axis=1) / there[some].sum(axis=1, keepdims=True)
        tick()
    total = int(histogram.sum())
    share = histogram / total if total else np.full(LEVELS, np.nan)
    levels = np.arange(LEVELS) / (LEVELS - 1)
    mean, square = float(share @ levels), float(share @ levels**2)
    return SensorReadings(
        name=name,
        channels=_COLOURS
        if channels == len(_COLOURS)
        else tuple(f"channel {i + 1}" for i in range(channels)),
        means=means / (LEVELS - 1),
        mean=mean,
        std=max(square - mean**2, 0.0) ** 0.5 if total else float("nan"),
        missing=float(1 - present.mean()),
        saturated=float(share[-1]),
        dark=float(share[0]),
    )


def _reading(name: str, values: NDArray[np.float64]) -> SensorReadings:
    known = values[~np.isnan(values)]
    return SensorReadings(
        name=name,
        channels=("reading",),
        means=values[:, None],
        mean=float(known.mean()) if len(known) else float("nan"),
        std=float(known.std()) if len(known) else float("nan"),
        missing=1 - len(known) / len(values),
    )


def find_drift(sensors: list[SensorReadings], groups: NDArray[np.str_]) -> list[Drift]:
    """Groups whose mean reading differs from that of all others, the largest difference first.

    One fruit is one observation. With many groups some differ by chance: of G groups and C channels G x C
    questions are asked, and Holm's correction holds the chance of any false answer at 5 %.

    Args:
        sensors: from ``read_sensors``, n fruit each.
        groups: (n,) names.

    Returns:
        For each sensor and group at most one, that of its channel with the largest difference.
    """
    from statsmodels.stats.multitest import multipletests

    names, index = np.unique(groups, return_inverse=True)
    asked: list[Drift] = []
    for sensor in sensors:
        for column, channel in enumerate(sensor.channels):
            difference, p_value, fruit = _against_others(sensor.means[:, column], index, len(names))
            asked += [
                Drift(
                    sensor.name,
                    channel,
                    str(names[g]),
                    float(difference[g]),
                    float(p_value[g]),
                    int(fruit[g]),
                )
                for g in np.flatnonzero(np.isfinite(difference) & np.isfinite(p_value))
            ]
    if not asked:
        return []
    adjusted = multipletests([drift.p_adjusted for drift in asked], method="holm")[1]
    found: dict[tuple[str, str], Drift] = {}
    for drift, p in sorted(zip(asked, adjusted, strict=True), key=lambda pair: -abs(pair[0].difference)):
        if p < SIGNIFICANT:
            kept = Drift(drift.sensor, drift.channel, drift.group, drift.difference, float(p), drift.fruit)
            found.setdefault((drift.sensor, drift.group), kept)
    return list(found.values())


def _against_others(
    values: NDArray[np.float64], index: NDArray[np.intp], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]:
    """Hedges' g, Welch's p-value and the number of fruit of every group; NaN where there are too few."""
    from scipy.stats import ttest_ind_from_stats

    known = ~np.isnan(values)
    if not known.any():
        return np.full(count, np.nan), np.full(count, np.nan), np.zeros(count, np.intp)
    values, index = values[known] - values[known].mean(), index[known]
    n = np.bincount(index, minlength=count)
    total = np.bincount(index, values, count)
    squares = np.bincount(index, values**2, count)
    rest = len(values) - n
    with np.errstate(invalid="ignore", divide="ignore"):
        mean, other = total / n, (total.sum() - total) / rest
        variance = np.maximum(squares - n * mean**2, 0) / (n - 1)
        other_variance = np.maximum(squares.sum() - squares - rest * other**2, 0) / (rest - 1)
        pooled = np.sqrt(((n - 1) * variance + (rest - 1) * other_variance) / (n + rest - 2))
        difference = (mean - other) / pooled * (1 - 3 / (4 * (n + rest) - 9))
        _, p_value = ttest_ind_from_stats(
            mean, np.sqrt(variance), n, other, np.sqrt(other_variance), rest, equal_var=False
        )
    few = (n < FEWEST) | (rest < FEWEST)
    return np.where(few, np.nan, difference), np.where(few, np.nan, p_value), n
