"""Operations on parts of an image. Where they fall is shared by all modalities, as geometry is."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from backend.augment.registry import Effect, Magnitude, OperationInfo, register
from backend.augment.sampling import Sampler


@register(
    OperationInfo(
        name="jigsaw",
        description="the image cut into tiles, shuffled",
        kind="patch",
        source="Noroozi and Favaro 2016, Unsupervised learning by solving jigsaw puzzles",
        probability=0.5,
        magnitudes=(Magnitude("tiles", 3, 1, 1, 8, "tiles along a side, rounded"),),
    )
)
class Jigsaw(Effect):
    """A random order of the tiles; pixels that whole tiles do not reach stay where they are."""

    def draw(self, sampler: Sampler, channels: int, magnitudes: Mapping[str, float]) -> Tensor:
        """(B, tiles²): the tile that each place receives."""
        return sampler.permutations(round(magnitudes["tiles"]) ** 2)

    def apply(self, images: Tensor, drawn: Tensor, generator: torch.Generator) -> Tensor:
        """See the base class."""
        n, channels, height, width = images.shape
        side = round(drawn.shape[1] ** 0.5)
        tall, wide = height // side, width // side
        shuffled = images.clone()
        tiles = images[..., : side * tall, : side * wide].reshape(n, channels, side, tall, side, wide)
        tiles = tiles.permute(0, 2, 4, 1, 3, 5).reshape(n, side * side, channels, tall, wide)
        tiles = tiles[torch.arange(n, device=images.device).unsqueeze(1), drawn]
        tiles = tiles.view(n, side, side, channels, tall, wide).permute(0, 3, 1, 4, 2, 5)
        shuffled[..., : side * tall, : side * wide] = tiles.reshape(n, channels, side * tall, side * wide)
        return shuffled


@register(
    OperationInfo(
        name="cutout",
        description="a square of the image's mean colour",
        kind="patch",
        source="DeVries and Taylor 2017, Improved regularization of CNNs with cutout",
        probability=0.5,
        magnitudes=(Magnitude("side", 0.5, 0.0, 0.0, 1.0, "side of the square in sides of the image"),),
    )
)
class Cutout(Effect):
    """The centre is anywhere in the image, so the square may stick out, as in the paper.

    The paper fills with 0 after normalisation, which is the mean; here it is the mean of each image.
    """

    def draw(self, sampler: Sampler, channels: int, magnitudes: Mapping[str, float]) -> Tensor:
        """(B, 3): x and y of the centre, and half the side, in sides of the image."""
        half = magnitudes["side"] / 2
        return torch.cat([sampler.uniform(0.0, 1.0, 2), sampler.uniform(half, half, 1)], dim=1)

    def apply(self, images: Tensor, drawn: Tensor, generator: torch.Generator) -> Tensor:
        """See the base class."""
        height, width = images.shape[2:]
        x, y, half = drawn.view(-1, 3, 1, 1, 1).unbind(1)
        columns = (torch.arange(width, device=images.device) + 0.5) / width
        rows = (torch.arange(height, device=images.device).view(-1, 1) + 0.5) / height
        inside = ((columns - x).abs() < half) & ((rows - y).abs() < half)
        return torch.where(inside, images.mean(dim=(2, 3), keepdim=True), images)
