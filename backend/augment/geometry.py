"""Operations that move pixels, and the one warp that carries out all of them.

Each operation draws a map of output points to input points; maps are multiplied, so the image is
interpolated once however many operations there are. Points are homogeneous (x, y, 1), with -1 and 1
at the outer edges of the image (``align_corners=False``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.augment.registry import Geometry, Magnitude, OperationInfo, register
from backend.augment.sampling import Sampler

_CANDIDATES = 10
"""Crops that torchvision's RandomResizedCrop tries before it gives up."""


def _matrix(entries: Mapping[tuple[int, int], Tensor], like: Tensor) -> Tensor:
    """(B, 3, 3) identities with some entries replaced by (B,) values."""
    matrix = torch.eye(3, device=like.device).repeat(len(like), 1, 1)
    for (row, column), value in entries.items():
        matrix[:, row, column] = value
    return matrix


@register(
    OperationInfo(
        name="random_resized_crop",
        description="a window of random area and aspect, blown up to the whole image",
        kind="geometry",
        source="Szegedy et al. 2015, Going deeper with convolutions; the default of SimCLR",
        magnitudes=(
            Magnitude("scale_min", 0.08, 1.0, 0.02, 1.0, "least share of the area that is kept"),
            Magnitude("aspect", 4 / 3, 1.0, 1.0, 4.0, "most width to height of the window, or the inverse"),
        ),
    )
)
class RandomResizedCrop(Geometry):
    """The window of torchvision's operation of the same name, without rounding to whole pixels.

    Like there, area and log aspect are uniform and windows that stick out are drawn again; all tries
    are drawn at once and the first that fits is taken.
    """

    def draw(self, sampler: Sampler, channels: int, magnitudes: Mapping[str, float]) -> Tensor:
        """See the base class."""
        area = sampler.uniform(magnitudes["scale_min"], 1.0, _CANDIDATES)
        limit = math.log(magnitudes["aspect"])
        aspect = sampler.uniform(-limit, limit, _CANDIDATES).exp_()
        width, height = (area * aspect).sqrt_(), (area / aspect).sqrt_()
        first = ((width <= 1) & (height <= 1)).to(torch.uint8).argmax(dim=1, keepdim=True)
        # Where no try fits, argmax takes the first one and the clamp makes it fit.
        width = width.gather(1, first).squeeze(1).clamp_(max=1.0)
        height = height.gather(1, first).squeeze(1).clamp_(max=1.0)
        x, y = sampler.uniform(-1.0, 1.0, 2).unbind(1)
        return _matrix(
            {(0, 0): width, (1, 1): height, (0, 2): x * (1 - width), (1, 2): y * (1 - height)}, width
        )


@register(
    OperationInfo(
        name="horizontal_flip",
        description="left and right change places",
        kind="geometry",
        source="Krizhevsky et al. 2012, ImageNet classification with deep CNNs",
        probability=0.5,
    )
)
class HorizontalFlip(Geometry):
    """x becomes -x."""

    def draw(self, sampler: Sampler, channels: int, magnitudes: Mapping[str, float]) -> Tensor:
        """See the base class."""
        return torch.diag(torch.tensor([-1.0, 1.0, 1.0], device=sampler.generator.device)).expand(
            sampler.batch, 3, 3
        )


@register(
    OperationInfo(
        name="vertical_flip",
        description="top and bottom change places",
        kind="geometry",
        source="common for fruit and cells, which have no up",
        probability=0.5,
    )
)
class VerticalFlip(Geometry):
    """y becomes -y."""

    def draw(self, sampler: Sampler, channels: int, magnitudes: Mapping[str, float]) -> Tensor:
        """See the base class."""
        return torch.diag(torch.tensor([1.0, -1.0, 1.0], device=sampler.generator.device)).expand(
            sampler.batch, 3, 3
        )


def _turn(degrees: Tensor, zoom: float) -> Tensor:
    """(B, 3, 3) rotations by (B,) degrees, counter-clockwise on the screen, seeing ``zoom`` times as far."""
    radians = torch.deg2rad(degrees)
    # y points down, so a counter-clockwise turn of the picture maps output points by [c -s; s c].
    cos, sin = radians.cos() * zoom, radians.sin() * zoom
    return _matrix({(0, 0): cos, (0, 1): -sin, (1, 0): sin, (1, 1): cos}, degrees)


@register(
    OperationInfo(
        name="rotation",
        description="a turn about the centre by a random angle",
        kind="geometry",
        source="Simard et al. 2003, Best practices for CNNs applied to visual document analysis",
        magnitudes=(Magnitude("degrees", 30.0, 0.0, 0.0, 180.0, "greatest angle, either way"),),
    )
)
class Rotation(Geometry):
    """Corners that come from outside the image show its reflection."""

    padding = "reflection"

    def draw(self, sampler: Sampler, channels: int, magnitudes: Mapping[str, float]) -> Tensor:
        """See the base class."""
        return _turn(sampler.uniform(-magnitudes["degrees"], magnitudes["degrees"]), zoom=1.0)


@register(
    OperationInfo(
        name="pad_rotate_scale",
        description="a little smaller and turned by up to 15 degrees, on black",
        kind="geometry",
        source="Hammer, Pavlinec, Zarbock, Zeilmann 2021 (the FER policy)",
        magnitudes=(
            Magnitude("degrees", 15.0, 0.0, 0.0, 180.0, "greatest angle, either way"),
            Magnitude("zoom_out", 1.125, 1.0, 1.0, 2.0, "side of the window in sides of the image"),
        ),
    )
)
class PadRotateScale(Geometry):
    """Resize to 2s, pad by 18, rotate by up to 15°, crop the central 2.25s, resize to s: as one warp.

    The crop of 2.25s of an image of 2s is a window 1.125 times as wide, whatever s is; the padding only
    has to reach its corners, so zeros without end stand for it.
    """

    padding = "zeros"

    def draw(self, sampler: Sampler, channels: int, magnitudes: Mapping[str, float]) -> Tensor:
        """See the base class."""
        angle = sampler.uniform(-magnitudes["degrees"], magnitudes["degrees"])
        return _turn(angle, magnitudes["zoom_out"])


def warp(images: Tensor, maps: Tensor, size: int, padding: str) -> Tensor:
    """Carry out the drawn geometry: one bilinear interpolation.

    Measured on the CPU against products with interpolation matrices (two ``bmm``): equally fast up to
    64 px, faster above, and able to rotate.

    Args:
        images: (n, C, H, W) float.
        maps: (n, 3, 3) output to input points.
        size: side of the output in pixels.
        padding: one of ``backend.augment.registry.PADDINGS``.

    Returns:
        (n, C, size, size), contiguous.
    """
    # Written by hand because F.affine_grid multiplies (size², 3) by (3, 2) and costs as much as the
    # sampling itself. As complex numbers x + iy a grid is one sum of rows and columns.
    centres = torch.arange(1, 2 * size, 2, device=images.device, dtype=images.dtype) / size - 1
    along_x, along_y, shift = torch.view_as_complex(maps[:, :2].mT.contiguous()).unsqueeze(2).unbind(1)
    rows = (shift + along_x * centres).unsqueeze(1)
    grid = rows + (along_y * centres).unsqueeze(2)
    return F.grid_sample(
        images.contiguous(), torch.view_as_real(grid), padding_mode=padding, align_corners=False
    )
