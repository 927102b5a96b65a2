"""Deletion and insertion curves: is what a map marks what the model uses?

Petsiuk, Das and Saenko 2018, "RISE: Randomized Input Sampling for Explanation", section 4.3. Pixels of all
views and sensors of a fruit are ranked by its heat maps. Deletion replaces them by a blurred picture, the
hottest first, and the score should fall fast: a small area is good. Insertion puts them back into the blurred
picture, and the score should rise fast: a large area is good. Pressure readings stay as they are. RISE
deletes to a constant instead; on a bright fruit that paints the dark spot that a network takes for rot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import gaussian_blur

from backend.models.batch import FruitBatch

STEPS = 12
"""Equal parts in which the pixels go."""
BLUR = 0.2
"""Standard deviation of the blur, as a share of the side: most marks do not survive it."""

Scores = Callable[[FruitBatch], Tensor]
"""A batch to the (B,) probability of each fruit's own defect."""


@dataclass(frozen=True)
class CurveAreas:
    """(B,) areas under the deletion and insertion curves of each fruit, 0 to 1."""

    deletion: Tensor
    insertion: Tensor


@torch.no_grad()
def deletion_and_insertion(
    batch: FruitBatch, heat: dict[str, Tensor], scores: Scores, steps: int = STEPS
) -> CurveAreas:
    """The areas under both curves, by the trapezoid rule.

    Args:
        batch: B fruit.
        heat: modality to (B, V, S, S), at the resolution of the images.
        scores: of the model that the maps explain.
        steps: points of a curve, less one.
    """
    rank = _ranks(batch, heat)
    whole = {name: batch.images[name] for name in heat}
    blurred = {name: _blur(images) for name, images in whole.items()}
    gone, shown = [], []
    for step in range(steps + 1):
        hot = {name: (value <= step / steps).unsqueeze(2) for name, value in rank.items()}
        deleted = {name: torch.where(hot[name], blurred[name], whole[name]) for name in heat}
        inserted = {name: torch.where(hot[name], whole[name], blurred[name]) for name in heat}
        gone.append(scores(replace(batch, images=deleted)))
        shown.append(scores(replace(batch, images=inserted)))
    return CurveAreas(_area(gone), _area(shown))


def _ranks(batch: FruitBatch, heat: dict[str, Tensor]) -> dict[str, Tensor]:
    """Modality to (B, V, S, S) places in the order of heat, above 0 to 1; absent views come last."""
    parts = [
        torch.where(batch.present[name][:, :, None, None], value, -1.0).flatten(1)
        for name, value in heat.items()
    ]
    everything = torch.cat(parts, dim=1)
    order = everything.argsort(dim=1, descending=True, stable=True)
    place = torch.arange(1, everything.shape[1] + 1, device=order.device, dtype=everything.dtype)
    rank = torch.empty_like(everything).scatter_(1, order, place.expand_as(everything))
    share = rank / (everything >= 0).sum(dim=1, keepdim=True).clamp_min(1)
    pieces = share.split([part.shape[1] for part in parts], dim=1)
    return {name: piece.view_as(heat[name]) for name, piece in zip(heat, pieces, strict=True)}


def _blur(images: Tensor) -> Tensor:
    sigma = BLUR * images.shape[-1]
    # The kernel may be no wider than twice the image, less one, for the mirrored border.
    width = min(2 * round(2 * sigma) + 1, 2 * (images.shape[-1] - 1) + 1)
    flat = gaussian_blur(images.flatten(0, 1), [width, width], [sigma, sigma])
    return flat.unflatten(0, images.shape[:2])


def _area(points: list[Tensor]) -> Tensor:
    return torch.trapezoid(torch.stack(points, dim=1), dx=1 / (len(points) - 1), dim=1)
