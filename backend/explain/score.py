"""How well a heat map agrees with the mask of what it should show. Pure numpy; maps are 0 or more."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
View = tuple[str, str]
"""(sensor, view)."""

TOLERANCE = 0.03
"""Share of the image's side by which the hottest point may miss: 15 of about 500 px in Zhang et al. 2018."""
IOU_LEVEL = 0.5
"""Share of its maximum from which on a map counts as lit."""


def pointing(heat: Floats, mask: NDArray[np.bool_], tolerance: float = TOLERANCE) -> bool:
    """The pointing game (Zhang et al. 2018, "Top-Down Neural Attention by Excitation Backprop", section 4.2).

    Args:
        heat: (S, S).
        mask: (S, S), True where the defect is.
        tolerance: see ``TOLERANCE``; at least one pixel.

    Returns:
        Whether the hottest point lies on the mask or within the tolerance of it. A map without evidence
        points nowhere.
    """
    if not heat.any() or not mask.any():
        return False
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    rows, columns = np.nonzero(mask)
    reach = max(1.0, tolerance * len(heat))
    return bool(((rows - row) ** 2 + (columns - column) ** 2).min() <= reach**2)


def energy(heat: Floats, mask: NDArray[np.bool_]) -> float:
    """Share of the map inside the mask: the energy-based pointing game (Wang et al. 2020, "Score-CAM")."""
    total = float(heat.sum())
    return float(heat[mask].sum()) / total if total > 0 else 0.0


def iou(heat: Floats, mask: NDArray[np.bool_], level: float = IOU_LEVEL) -> float:
    """Intersection over union of the mask and of what is lit, from ``level`` times the maximum on."""
    lit = (heat >= level * heat.max()) & (heat > 0)
    union = int((lit | mask).sum())
    return int((lit & mask).sum()) / union if union else 0.0


def strongest_view(maps: Mapping[View, Floats]) -> View:
    """The sensor and view with the most evidence: where the model says that the defect is."""
    return max(maps, key=lambda view: float(maps[view].sum()))


def localisation(maps: Mapping[View, Floats], masks: Mapping[str, NDArray[np.bool_]]) -> dict[str, float]:
    """How well the maps of one fruit show one of its defects.

    The hottest point and the IoU are those of the strongest view alone: a model that finds its evidence in a
    view from which the defect cannot be seen is wrong. Energy is counted over all views and sensors.

    Args:
        maps: (sensor, view) to (S, S).
        masks: view to (S, S), for the views that show the defect.

    Returns:
        ``pointing`` 0 or 1, ``energy`` and ``iou`` 0 to 1.
    """
    view = strongest_view(maps)
    total = sum(float(heat.sum()) for heat in maps.values())
    inside = sum(float(heat[masks[name]].sum()) for (_, name), heat in maps.items() if name in masks)
    return {
        "pointing": float(view[1] in masks and pointing(maps[view], masks[view[1]])),
        "energy": inside / total if total > 0 else 0.0,
        "iou": iou(maps[view], masks[view[1]]) if view[1] in masks else 0.0,
    }
